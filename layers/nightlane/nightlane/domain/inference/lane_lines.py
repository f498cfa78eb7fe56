"""The lines that a lane runs, read as they are needed: one shard after the other."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nightlane.domain.inference.lines import READ_BYTES, Line, line_of
from nightlane.domain.inference.open_shards import OpenShard


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a shard, with their numbers."""

    shard: OpenShard
    lines: list[tuple[int, bytes]]


class LaneLines:
    """Hands out the unfinished lines of one shard after the other, and reads one chunk ahead.

    Args:
        open_next: begins the next shard; returns None if there is none. Called on another thread.
        read: returns the unfinished lines of a shard.
    """

    def __init__(
        self,
        batch_id: str,
        open_next: Callable[[], OpenShard | None],
        read: Callable[[OpenShard], Iterator[tuple[int, bytes]]],
    ) -> None:
        self._batch_id = batch_id
        self._open_next = open_next
        self._read = read
        self._unread: tuple[OpenShard, Iterator[tuple[int, bytes]]] | None = None
        self._shard: OpenShard | None = None
        self._ready: deque[tuple[int, bytes]] = deque()
        self._ahead: asyncio.Task[Chunk | None] | None = None
        self._reading = asyncio.Lock()
        self._is_stale = False
        self._is_closed = False

    def take(self) -> tuple[OpenShard, Line] | None:
        """Return the next line if one has been read, with its shard."""
        if not self._ready or self._shard is None:
            return None
        return self._shard, line_of(self._batch_id, self._shard.numbers, *self._ready.popleft())

    async def read(self) -> bool:
        """Read more lines for `take`. Returns False if none are left."""
        async with self._reading:
            # Another slot may have read while this one waited.
            while not self._ready and not self._is_closed:
                self._ahead = self._ahead or self._start_reading()
                chunk = await asyncio.shield(self._ahead)
                if chunk is None:
                    if not self._is_stale:
                        return False
                    self._is_stale, self._ahead = False, None
                    continue
                self._shard, self._ready = chunk.shard, deque(chunk.lines)
                self._ahead = None if self._is_closed else self._start_reading()
            return True

    def look_again(self) -> None:
        """There may be more shards to begin than when the last one ended."""
        self._is_stale = True

    async def close(self) -> None:
        """Read no more, and wait until nothing is being read, so that no more shards are begun."""
        self._is_closed = True
        if self._ahead is not None:
            await asyncio.gather(self._ahead, return_exceptions=True)

    def _start_reading(self) -> "asyncio.Task[Chunk | None]":
        return asyncio.create_task(asyncio.to_thread(self._next_chunk))

    def _next_chunk(self) -> Chunk | None:
        """Return about `READ_BYTES` of lines of one shard, or a single longer line; None at the end."""
        while True:
            if self._unread is None:
                if (shard := self._open_next()) is None:
                    return None
                self._unread = shard, self._read(shard)
            shard, unread = self._unread
            if lines := _about(READ_BYTES, unread):
                return Chunk(shard, lines)
            self._unread = None


def _about(size: int, unread: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    lines = []
    for number, line in unread:
        lines.append((number, line))
        size -= len(line)
        if size <= 0:
            break
    return lines
