"""Writes the input of a retry, in constant memory: the lines of the input file that are in the error file."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec

from nightlane.domain.batch import Batch
from nightlane.domain.file import StoredFile
from nightlane.domain.files import find_file
from nightlane.domain.line_checks import Invalid
from nightlane.domain.lines import BYTE_ORDER_MARK, split_lines
from nightlane.domain.ports import Ports
from nightlane.domain.retry import gone_message
from nightlane.domain.shard import input_key
from nightlane.domain.steps import Hold


def write_failed_lines(ports: Ports, batch: Batch, source: StoredFile, hold: Hold) -> None:
    """Write the pinned input of a retry. Every planner writes the same bytes, because files never change.

    Raises:
        Invalid: the error file is gone.
        BlobMissing: a file was deleted meanwhile.
        Fenced
    """
    failed = _failed_ids(ports, batch, hold)
    chunks = hold.during(ports.blobs.stream(source.blob_key))
    with ports.blobs.writer(input_key(batch.id)) as writer:
        for line in _lines(chunks, source.size):
            if _digest(line) in failed:
                writer.write(line + b"\n")


def _failed_ids(ports: Ports, batch: Batch, hold: Hold) -> frozenset[bytes]:
    """Return digests of the ids of the earlier batch's error lines, because ids may be long."""
    earlier_id = batch.request.retry_of
    assert earlier_id is not None
    earlier = ports.batches.get_batch(earlier_id)
    file_id = earlier and earlier.error_file_id
    file = find_file(ports, batch.tenant, file_id) if file_id else None
    if file is None:
        raise Invalid("invalid_request", gone_message(earlier_id, "error"), "file_id")
    return frozenset(map(_digest, _lines(hold.during(ports.blobs.stream(file.blob_key)), file.size)))


def _lines(chunks: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """Yield the lines of a file that was checked before, or that assembly wrote."""
    for start, line in split_lines(chunks, longest):
        assert line is not None
        text = line if start else line.removeprefix(BYTE_ORDER_MARK)
        if text.strip():
            yield text


class _Identified(msgspec.Struct):
    custom_id: str


_read = msgspec.json.Decoder(_Identified).decode


def _digest(line: bytes) -> bytes:
    return blake2b(_read(line).custom_id.encode(), digest_size=16).digest()
