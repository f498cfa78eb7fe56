"""Invokes a function for each object that is stored below a prefix, as EventBridge does with S3's events."""

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infra.home.front import FunctionFailed, FunctionTimedOut
from tests.rig.events import object_event
from tests.rig.functions import Function

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)
POLL_SECONDS = 0.3


async def watch_objects(function: Function, client: "S3Client", bucket: str, prefix: str) -> None:
    """Look for new objects until cancelled."""
    seen: set[str] = set()
    while True:
        await asyncio.sleep(POLL_SECONDS)
        for event in await asyncio.to_thread(lambda: list(_new_objects(client, bucket, prefix, seen))):
            try:
                await function.call(event)
            except (FunctionFailed, FunctionTimedOut) as error:
                log.warning("%s failed: %s", function.spec.name, error)


def _new_objects(client: "S3Client", bucket: str, prefix: str, seen: set[str]) -> Iterator[dict[str, Any]]:
    for found in client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        etag, key = found["ETag"].strip('"'), found["Key"]
        if key not in seen:
            seen.add(key)
            yield object_event(bucket, key, found["Size"], etag)
