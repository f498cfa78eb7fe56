"""The lines of a shard, read in pieces, so that memory does not grow with the shard."""

from collections.abc import Iterator, Sequence

import msgspec

from nightlane.api_settings import KIB
from nightlane.domain.lines import RequestLine, read_request, request_lines, result_id
from nightlane.domain.ports import Blobs
from nightlane.domain.shard import DoneLines, ShardSpec

# Reads of 1 MiB left 20 MiB allocated in the memory arenas of the reading threads.
READ_BYTES = 256 * KIB


class Line(msgspec.Struct, frozen=True):
    """A request to run; `number` counts from 0 in the shard."""

    number: int
    result_id: str
    request: RequestLine


def line_of(batch_id: str, numbers: Sequence[int], number: int, line: bytes) -> Line:
    """Return a line of a shard whose lines have these `numbers` in the batch. Raises: msgspec.DecodeError."""
    return Line(number, result_id(batch_id, numbers[number]), read_request(line))


def unfinished_lines(
    blobs: Blobs, input_key: str, spec: ShardSpec, done: DoneLines
) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a shard that are not `done`, with their numbers, reading `READ_BYTES` at a time.

    Each range is read in one go, because a connection that is idle for minutes may be dropped.
    """

    def ranges() -> Iterator[bytes]:
        for start in range(spec.start, spec.end, READ_BYTES):
            end = min(start + READ_BYTES, spec.end)
            yield b"".join(blobs.stream(input_key, start, end))

    return done.missing(request_lines(ranges()))
