"""Objects in S3."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nightlane.api_settings import KIB, MIB
from nightlane.domain.ports import BlobMissing, PresignedPut
from nightlane.domain.received import Received
from nightlane.wire.headers import content_disposition

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The minimum for every part but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PART_BYTES = 5 * MIB
CHUNK_BYTES = 128 * KIB
MAX_KEYS_PER_DELETE = 1_000
MISSING_CODES = frozenset({"NoSuchKey", "404", "NotFound"})


class S3Blobs:
    """`domain.ports.Blobs` on one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    def put_received(self, key: str, content: Received) -> None:
        # Lambda limits a request to 6 MB, so it is in memory.
        self.put(key, b"".join(content.chunks()))

    def get(self, key: str) -> bytes:
        with _missing(key):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        byte_range: Any = {} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        with _missing(key):
            body = self._client.get_object(Bucket=self._bucket, Key=key, **byte_range)["Body"]
        with body:
            # No variable here keeps a chunk while its reader works on it.
            yield from iter(partial(body.read, CHUNK_BYTES), b"")

    def copy(self, source: str, target: str) -> int:
        with _missing(source):
            self._client.copy_object(
                Bucket=self._bucket, Key=target, CopySource={"Bucket": self._bucket, "Key": source}
            )
        return self.size(target)

    def size(self, key: str) -> int:
        """Return the size of an object in bytes. Raises: BlobMissing."""
        with _missing(key):
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]

    @contextmanager
    def writer(self, key: str) -> Iterator["ObjectWriter"]:
        writer = ObjectWriter(self._client, self._bucket, key)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abort()
            raise

    @contextmanager
    def scatter_writer(self, key: str) -> Iterator["TemporaryCopy"]:
        # S3 cannot write at a position. `infra/resources.py` says how large a function's disk is.
        with TemporaryFile() as file:
            yield TemporaryCopy(file)
            file.seek(0)
            with self.writer(key) as writer:
                while chunk := file.read(CHUNK_BYTES):
                    writer.write(chunk)

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        while batch := list(islice(remaining, MAX_KEYS_PER_DELETE)):
            objects: Any = [{"Key": key} for key in batch]
            self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})

    def presigned_get(self, key: str, filename: str, seconds: int) -> str:
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentDisposition": content_disposition(filename),
                "ResponseContentType": "application/octet-stream",
            },
            ExpiresIn=seconds,
        )

    def presigned_put(self, key: str, size: int, seconds: int) -> PresignedPut:
        # Both are signed as headers of the request, so S3 refuses another size and a second object.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        url = self._client.generate_presigned_url(
            "put_object",
            Params={"Bucket": self._bucket, "Key": key, "ContentLength": size, "IfNoneMatch": "*"},
            ExpiresIn=seconds,
        )
        return PresignedPut(url, size, int(time.time()) + seconds)


class ObjectWriter:
    """`domain.ports.BlobWriter`: one put for a small object, a multipart upload for a larger one."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self._client = client
        self._where: Any = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._sent = 0

    @property
    def size(self) -> int:
        return self._sent + len(self._buffer)

    def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= PART_BYTES:
            self._send_part()

    def close(self) -> None:
        if not self.size:
            return
        if self._upload_id is None:
            self._client.put_object(Body=bytes(self._buffer), **self._where)
            return
        if self._buffer:
            self._send_part()
        parts: Any = {"Parts": self._parts}
        self._client.complete_multipart_upload(UploadId=self._upload_id, MultipartUpload=parts, **self._where)

    def abort(self) -> None:
        """Discard what was written. The bucket's lifecycle rule removes any part that is left over."""
        if self._upload_id is not None:
            self._client.abort_multipart_upload(UploadId=self._upload_id, **self._where)

    def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = self._client.create_multipart_upload(**self._where)["UploadId"]
        number = len(self._parts) + 1
        # boto3's types allow only bytes, which would be a copy.
        body: Any = self._buffer
        response = self._client.upload_part(
            UploadId=self._upload_id, PartNumber=number, Body=body, **self._where
        )
        self._parts.append({"PartNumber": number, "ETag": response["ETag"]})
        self._sent += len(self._buffer)
        self._buffer = bytearray()


class TemporaryCopy:
    """`domain.ports.ScatterWriter` on a file that is uploaded once it is complete."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write_at(self, start: int, data: bytes) -> None:
        self._file.seek(start)
        self._file.write(data)


@contextmanager
def _missing(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING_CODES:
            raise BlobMissing(key) from error
        raise
