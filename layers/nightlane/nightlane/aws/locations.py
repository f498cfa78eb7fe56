"""Objects in buckets other than Nightlane's own, which S3 copies by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nightlane.domain.s3_locations import LocationUnavailable, S3Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Any other status is retried. Without permission to list a bucket, a missing object is a 403.
REFUSED = range(300, 500)
RETRYABLE = frozenset({408, 409, 429})


class S3Locations:
    """`domain.s3_locations.S3Objects`."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def size(self, source: S3Location) -> int:
        with self._access(source):
            return self._client.head_object(Bucket=source.bucket, Key=source.key)["ContentLength"]

    def copy_in(self, source: S3Location, key: str) -> None:
        with self._access(source):
            self._copy({"Bucket": source.bucket, "Key": source.key}, self._bucket, key)

    def copy_out(self, key: str, target: S3Location) -> None:
        with self._access(target):
            self._copy({"Bucket": self._bucket, "Key": key}, target.bucket, target.key)

    def _copy(self, source: Any, bucket: str, key: str) -> None:
        # Copying tags and metadata would need further permissions.
        self._client.copy_object(
            CopySource=source, Bucket=bucket, Key=key, TaggingDirective="REPLACE", MetadataDirective="REPLACE"
        )

    @contextmanager
    def _access(self, location: S3Location) -> Iterator[None]:
        if location.bucket == self._bucket:
            # All tenants' objects are there.
            raise LocationUnavailable("it is in the bucket of this deployment")
        try:
            yield
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status not in REFUSED or status in RETRYABLE:
                raise
            code = error.response["Error"]["Code"]
            raise LocationUnavailable(f"S3 returned {code} to the role of this deployment") from error
