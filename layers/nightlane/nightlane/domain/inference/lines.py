"""The unfinished lines of a shard, read as they are needed, so that memory does not grow with the shard."""

import asyncio
from collections import deque
from collections.abc import Iterator

import msgspec

from nightlane.domain.lines import RequestLine, read_request, request_lines, result_id
from nightlane.domain.ports import Blobs
from nightlane.domain.shard import DoneLines, ShardMessage
from nightlane.settings import KIB

# Reads of 1 MiB left 20 MiB allocated in the memory arenas of the reading threads.
READ_BYTES = 256 * KIB


class Line(msgspec.Struct, frozen=True):
    """A request to run; `number` counts from 0 in the shard."""

    number: int
    result_id: str
    request: RequestLine


def line_of(message: ShardMessage, number: int, line: bytes) -> Line:
    """Return a line of the message's shard. Raises: msgspec.DecodeError."""
    return Line(number, result_id(message.batch_id, message.shard.first_line + number), read_request(line))


class UnfinishedLines:
    """Hands out the lines that are not `done`, in order."""

    def __init__(self, blobs: Blobs, message: ShardMessage, done: DoneLines) -> None:
        self._blobs = blobs
        self._message = message
        self._unread = done.missing(request_lines(self._ranges()))
        self._ready: deque[tuple[int, bytes]] = deque()
        self._reading = asyncio.Lock()

    def take(self) -> Line | None:
        """Return the next line if one has been read."""
        return line_of(self._message, *self._ready.popleft()) if self._ready else None

    async def read(self) -> bool:
        """Read more lines for `take`. Returns False if none are left."""
        async with self._reading:
            # Another slot may have read while this one waited.
            if not self._ready:
                self._ready.extend(await asyncio.to_thread(self._next))
            return bool(self._ready)

    def _next(self) -> list[tuple[int, bytes]]:
        """Return about `READ_BYTES` of lines, or a single longer line."""
        lines, size = [], 0
        for number, line in self._unread:
            lines.append((number, line))
            size += len(line)
            if size >= READ_BYTES:
                break
        return lines

    def _ranges(self) -> Iterator[bytes]:
        """Each range is read in one go, because a connection that is idle for minutes may be dropped."""
        spec = self._message.shard
        for start in range(spec.start, spec.end, READ_BYTES):
            end = min(start + READ_BYTES, spec.end)
            yield b"".join(self._blobs.stream(self._message.input_key, start, end))
