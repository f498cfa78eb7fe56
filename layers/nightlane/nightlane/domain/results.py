"""The results of a batch as they are committed, an extension after Doubleword's.

https://github.com/doublewordai/control-layer/blob/main/dwctl/src/api/handlers/batches.rs
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from nightlane.api_settings import MIB
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.batches import get_batch
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.errors import NotFound
from nightlane.domain.file import StoredFile
from nightlane.domain.files import MAX_RESPONSE_BYTES
from nightlane.domain.lines import LineError, error_line, result_id, split_lines
from nightlane.domain.parts import read_records
from nightlane.domain.ports import BlobMissing, Ports
from nightlane.domain.result_cursor import Cursor, decode_cursor, encode_cursor
from nightlane.domain.shard import Part

MAX_PAGE_BYTES = 4 * MIB
# A page waits for one read of S3 after the other, and must be done within API Gateway's 29 s.
MAX_PARTS_PER_PAGE = 100
# What is read of the files for one page, if a client has seen nearly all of their lines.
MAX_SCANNED_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """Some result lines, and the cursor for the next page."""

    text: str
    cursor: str
    is_incomplete: bool
    """Whether there are more lines, or may be later."""


def read_results(ports: Ports, tenant: str, batch_id: str, *, after: str | None, limit: int) -> ResultsPage:
    """Return the next page of a batch's results, successful and failed: up to 4 MiB and `limit` lines.

    Raises:
        NotFound: there is no such batch of the tenant, or it has ended and its files are gone.
        BadRequest: `after` is no cursor of this batch.
    """
    batch = get_batch(ports, tenant, batch_id)
    while True:
        try:
            return _read_page(ports, batch, after, limit)
        except BlobMissing:
            before, batch = batch, get_batch(ports, tenant, batch_id)
            if before.status.is_terminal:
                raise _files_gone(batch) from None
            if not batch.status.is_terminal:
                raise
            # Its parts were deleted meanwhile.


def _read_page(ports: Ports, batch: Batch, after: str | None, limit: int) -> ResultsPage:
    cursor = decode_cursor(batch, after or "0")
    page = _Page(limit)
    if not batch.status.is_terminal:
        # The counts change with each commit, so most polls read nothing but the batch.
        if batch.completed + batch.failed > cursor.seen.count:
            _add_from_parts(ports, batch, cursor, page)
    elif cursor.count < batch.total:
        _add_from_files(ports, batch, cursor, page)
    is_known = batch.is_planned or batch.status.is_terminal
    is_incomplete = batch.status is not BatchStatus.FAILED and (not is_known or cursor.count < batch.total)
    return ResultsPage(page.text(), encode_cursor(batch, cursor), is_incomplete)


class _Page:
    """Collects lines until there is no room for another one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: list[bytes] = []
        self._bytes = self._encoded_bytes = 0

    def add(self, line: bytes) -> bool:
        """Add a line; False if there is no room for it. One that would have a page of its own is replaced."""
        if len(self._lines) == self._limit:
            return False
        size, encoded = len(line), _encoded_size(line)
        if self._lines and (
            self._bytes + size > MAX_PAGE_BYTES or self._encoded_bytes + encoded > MAX_RESPONSE_BYTES
        ):
            return False
        if encoded > MAX_RESPONSE_BYTES:
            line = _replacement(line)
        self._lines.append(line)
        self._bytes += len(line)
        self._encoded_bytes += _encoded_size(line)
        return True

    def text(self) -> str:
        return b"".join(self._lines).decode()


def _encoded_size(line: bytes) -> int:
    """Return the bytes of a line in a response of Lambda, which is JSON."""
    return len(line) + line.count(b'"') + line.count(b"\\") + 1


class _Identity(msgspec.Struct):
    id: str
    custom_id: str


_read_identity = msgspec.json.Decoder(_Identity).decode


def _replacement(line: bytes) -> bytes:
    identity = _read_identity(line)
    return error_line(identity.id, identity.custom_id, LineError.TOO_LARGE_TO_SHOW)


def _add_from_parts(ports: Ports, batch: Batch, cursor: Cursor, page: _Page) -> None:
    specs, opened, unseen = read_manifest(ports, batch).shards, 0, cursor.seen.first_unseen()
    first = next((spec.index for spec in specs if unseen in spec.numbers), len(specs))
    for shard in ports.batches.shards(batch.id, first):
        first_line = specs[shard.index].first_line
        for part in shard.parts:
            # A page takes a part's lines in order, so if the last one was seen, all were.
            if first_line + part.last in cursor.seen:
                continue
            opened += 1
            if opened > MAX_PARTS_PER_PAGE or not _add_part(ports, part, first_line, cursor, page):
                return


def _add_part(ports: Ports, part: Part, first_line: int, cursor: Cursor, page: _Page) -> bool:
    """Add the lines of a part that were not seen; False if the page is full."""
    for record in read_records(ports.blobs.stream(part.key)):
        line = first_line + record.line
        if line in cursor.seen:
            continue
        if not cursor.seen.add(line):
            # Later lines of the part must not be seen before this one.
            return True
        if not page.add(record.data):
            cursor.seen.remove(line)
            return False
    return True


def _add_from_files(ports: Ports, batch: Batch, cursor: Cursor, page: _Page) -> None:
    files = [each for each in (batch.output_file_id, batch.error_file_id) if each is not None]
    seen = {result_id(batch.id, line).encode() for line in cursor.seen}
    scanned = 0
    while cursor.file < len(files) and cursor.count < batch.total:
        file = ports.files.get_file(files[cursor.file])
        if file is None or file.is_expired(ports.now()):
            raise _files_gone(batch)
        for line in _lines_of(ports, file, cursor.offset):
            if scanned > MAX_SCANNED_BYTES:
                return
            if _id_of(line) not in seen:
                if not page.add(line):
                    return
                cursor.from_files += 1
            scanned += len(line)
            cursor.offset += len(line)
        cursor.file, cursor.offset = cursor.file + 1, 0


def _lines_of(ports: Ports, file: StoredFile, offset: int) -> Iterator[bytes]:
    if offset >= file.size:
        return
    for _, line in split_lines(ports.blobs.stream(file.blob_key, offset, file.size), file.size):
        assert line is not None
        yield line + b"\n"


def _id_of(line: bytes) -> bytes:
    """Return the id of a result line. It is the first member, and without escapes."""
    start = len(b'{"id":"')
    return line[start : line.index(b'"', start)]


def _files_gone(batch: Batch) -> NotFound:
    return NotFound(f"The result files of batch '{batch.id}' were deleted or have expired.")
