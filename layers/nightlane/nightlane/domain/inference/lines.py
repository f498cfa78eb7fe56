"""The unfinished lines of a shard, read as they are due: memory does not grow with the shard."""

import asyncio
from collections import deque
from collections.abc import Iterator

import msgspec

from nightlane.domain.lines import RequestLine, read_request, request_lines, result_id
from nightlane.domain.ports import Blobs
from nightlane.domain.shard import DoneLines, ShardMessage
from nightlane.settings import KIB

# Reads of 1 MiB left 20 MiB behind in the arenas of the threads that made them.
READ_BYTES = 256 * KIB


class Line(msgspec.Struct, frozen=True):
    """A request to run; `number` counts from 0 in the shard."""

    number: int
    result_id: str
    request: RequestLine


def line_of(message: ShardMessage, number: int, line: bytes) -> Line:
    """A line of the message's shard."""
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
        """The next line, if it has been read."""
        return line_of(self._message, *self._ready.popleft()) if self._ready else None

    async def read(self) -> bool:
        """Read lines to take; False after the last one."""
        async with self._reading:
            # Another slot may have read meanwhile.
            if not self._ready:
                self._ready.extend(await asyncio.to_thread(self._next))
            return bool(self._ready)

    def _next(self) -> list[tuple[int, bytes]]:
        """Lines of about `READ_BYTES`, or one longer line."""
        lines, size = [], 0
        for number, line in self._unread:
            lines.append((number, line))
            size += len(line)
            if size >= READ_BYTES:
                break
        return lines

    def _ranges(self) -> Iterator[bytes]:
        """Each is read to its end at once: a connection that rests for minutes may be cut."""
        spec = self._message.shard
        for start in range(spec.start, spec.end, READ_BYTES):
            end = min(start + READ_BYTES, spec.end)
            yield b"".join(self._blobs.stream(self._message.input_key, start, end))
