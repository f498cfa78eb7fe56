"""Composes objects in S3 from others of any size.

S3 joins objects by itself only from 5 MiB upwards, so the content is read, and written as the pieces of a
multipart upload. A piece is a fixed range of the content: whoever writes it writes the same. So calls may
overlap, and S3's own list of the pieces shows what is left to do.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import md5 as new_md5
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from nightlane.api_settings import MIB
from nightlane.aws.blobs import MISSING_CODES, S3Blobs
from nightlane.domain.compositions import Composed, Source
from nightlane.domain.ports import BlobMissing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The minimum for every piece but the last. 8 GiB are 1,639 pieces; S3 allows 10,000.
PIECE_BYTES = 5 * MIB
# Pieces that are read and written at once, each in memory.
WORKERS = 4
# API Gateway waits for 29 s. The last pieces, and what follows, take a few of them.
SECONDS = 20.0
# A checksum cannot be continued: the whole content must be read within one call. Lambda has 625 Mbit/s.
MAX_CHECKED_BYTES = 1_024 * MIB


class Piece(msgspec.Struct, frozen=True):
    """A range of the content: parts of objects, each with its start and end (exclusive)."""

    number: int
    """From 1, as S3 counts the parts of a multipart upload."""
    ranges: tuple[tuple[str, int, int], ...]

    @property
    def size(self) -> int:
        return sum(end - start for _, start, end in self.ranges)


def pieces_of(sources: Sequence[Source], piece_bytes: int) -> Iterator[Piece]:
    """Divide the content of the sources into pieces of that many bytes; the last one may be smaller."""
    number, ranges, room = 1, list[tuple[str, int, int]](), piece_bytes
    for source in sources:
        start = 0
        while start < source.size:
            end = min(source.size, start + room)
            ranges.append((source.key, start, end))
            room -= end - start
            start = end
            if not room:
                yield Piece(number, tuple(ranges))
                number, ranges, room = number + 1, [], piece_bytes
    if ranges:
        yield Piece(number, tuple(ranges))


class _Handled(msgspec.Struct, frozen=True):
    """A piece that is stored, and its content if that was wanted."""

    number: int
    etag: str
    data: bytearray


class _Gone(Exception):
    """The multipart upload was completed or aborted."""


class S3Compositions:
    """`domain.compositions.Compositions` on one bucket; a call stops after `seconds`."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._blobs = S3Blobs(client, bucket)
        self._seconds = seconds
        self._monotonic = monotonic

    @property
    def max_checked_bytes(self) -> int | None:
        return MAX_CHECKED_BYTES

    def begin(self, target: str) -> str:
        return self._client.create_multipart_upload(Bucket=self._bucket, Key=target)["UploadId"]

    def compose(
        self, composition: str, target: str, sources: Sequence[Source], *, md5: bool
    ) -> Composed | None:
        pieces = list(pieces_of(sources, PIECE_BYTES))
        try:
            with _gone():
                return self._write(_Multipart(self._client, self._bucket, target, composition), pieces, md5)
        except _Gone:
            return self._read(target, sum(source.size for source in sources), md5)

    def discard(self, composition: str, target: str) -> None:
        with suppress(_Gone), _gone():
            _Multipart(self._client, self._bucket, target, composition).abort()
        # After the abort nobody can complete it, so what is there now is all there will be.
        self._blobs.delete([target])

    def _write(self, multipart: "_Multipart", pieces: Sequence[Piece], md5: bool) -> Composed | None:
        """Write the pieces that are missing, and read the others only for the checksum."""
        ends_at = self._monotonic() + self._seconds
        stored = multipart.stored()
        etags = {each.number: etag for each in pieces if (etag := stored.get((each.number, each.size)))}
        digest = new_md5(usedforsecurity=False) if md5 else None
        left = iter([each for each in pieces if md5 or each.number not in etags])
        with ThreadPoolExecutor(WORKERS) as pool:

            def begin(piece: Piece) -> "Future[_Handled]":
                return pool.submit(self._handle, multipart, piece, etags.get(piece.number), keep=md5)

            running = deque(map(begin, islice(left, WORKERS)))
            while running:
                handled = running.popleft().result()
                etags[handled.number] = handled.etag
                if digest is not None:
                    digest.update(handled.data)
                del handled
                if self._monotonic() < ends_at:
                    running.extend(map(begin, islice(left, 1)))
        if next(left, None) is not None:
            return None
        if not multipart.complete(etags):
            return None
        return Composed(digest.hexdigest() if digest else None)

    def _handle(self, multipart: "_Multipart", piece: Piece, etag: str | None, *, keep: bool) -> "_Handled":
        """Read a piece, and write it if it has no etag yet. With `keep` its content is returned."""
        data = bytearray()
        for key, start, end in piece.ranges:
            for chunk in self._blobs.stream(key, start, end):
                data += chunk
        if len(data) != piece.size:
            raise BlobMissing(piece.ranges[0][0])
        etag = etag or multipart.put(piece.number, data)
        return _Handled(piece.number, etag, data if keep else bytearray())

    def _read(self, target: str, size: int, md5: bool) -> Composed:
        """Return what another call has composed. Raises: BlobMissing."""
        digest, length = new_md5(usedforsecurity=False), 0
        if not md5:
            length = self._blobs.size(target)
        else:
            for chunk in self._blobs.stream(target):
                digest.update(chunk)
                length += len(chunk)
        if length != size:
            raise BlobMissing(target)
        return Composed(digest.hexdigest() if md5 else None)


class _Multipart(msgspec.Struct, frozen=True):
    """A multipart upload."""

    client: "S3Client"
    bucket: str
    key: str
    upload_id: str

    @property
    def _where(self) -> Any:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload_id}

    def stored(self) -> dict[tuple[int, int], str]:
        """Return the etags of the stored pieces, by number and size."""
        pages = self.client.get_paginator("list_parts").paginate(**self._where)
        return {
            (part["PartNumber"], part["Size"]): part["ETag"]
            for page in pages
            for part in page.get("Parts", [])
        }

    def put(self, number: int, data: bytearray) -> str:
        # boto3's types allow only bytes, which would be a copy.
        body: Any = data
        with _gone():
            return self.client.upload_part(PartNumber=number, Body=body, **self._where)["ETag"]

    def complete(self, etags: dict[int, str]) -> bool:
        """Make the object of these pieces; False if another call has just written one of them again."""
        parts: Any = {"Parts": [{"PartNumber": each, "ETag": etags[each]} for each in sorted(etags)]}
        try:
            self.client.complete_multipart_upload(MultipartUpload=parts, **self._where)
        except ClientError as error:
            # S3 does not promise that the same content has the same etag.
            if error.response["Error"]["Code"] == "InvalidPart":
                return False
            raise
        return True

    def abort(self) -> None:
        self.client.abort_multipart_upload(**self._where)


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING_CODES | {"NoSuchUpload"}:
            raise _Gone from error
        raise
