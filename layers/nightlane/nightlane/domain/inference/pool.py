"""The rolling pool: as soon as one request ends the next one starts, as many as the limiter allows."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class Room(Protocol):
    """How many items may be in flight now, and from when on, on the loop's clock."""

    pause_until: float

    def limit(self) -> int: ...


class Pool(Generic[Item]):
    """Works on what `take` returns, at most `size` at once.

    Args:
        take: the next item, or None for now. Gets the loop's time, and whether nothing is in flight.
        read: called when `take` has none: reads more of them, if it should; False if not.
        work: one item's work; what it raises ends the pool.
        room: how many may be in flight.
        next_due: when `take` may have something although nothing happened.
        is_done: nothing is left but what is in flight.
        may_start: once it says no, nothing is started any more, and the pool drains.
    """

    def __init__(
        self,
        size: int,
        take: Callable[[float, bool], Item | None],
        read: Callable[[bool], Awaitable[bool]],
        work: Callable[[Item], Awaitable[None]],
        *,
        room: Room,
        next_due: Callable[[], float | None],
        is_done: Callable[[], bool],
        may_start: Callable[[], bool],
    ) -> None:
        self.in_flight = 0
        self._size = size
        self._take = take
        self._read = read
        self._work = work
        self._room = room
        self._next_due = next_due
        self._is_done = is_done
        self._may_start = may_start
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self) -> None:
        """Return when nothing is left, or nothing may start and all has drained. Cancelling cancels the work.

        Raises:
            ExceptionGroup: an item's work raised; the other work was cancelled.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._size):
                group.create_task(self._slot())

    def wake(self) -> None:
        """Let every slot look again."""
        while self._waiting:
            self._wake_one()

    async def _slot(self) -> None:
        loop = asyncio.get_running_loop()
        while (item := await self._next(loop)) is not None:
            try:
                await self._work(item)
            finally:
                self.in_flight -= 1
            if self._waiting:
                self._wake_one()

    async def _next(self, loop: asyncio.AbstractEventLoop) -> Item | None:
        while self._may_start():
            now, opens_at = loop.time(), self._room.pause_until
            wake_at = opens_at if opens_at > now else None
            if wake_at is None and self.in_flight < self._room.limit():
                idle = not self.in_flight
                item = self._take(now, idle)
                if item is not None:
                    self.in_flight += 1
                    return item
                # Reading may take long: look again at whether anything may start.
                if await self._read(idle):
                    continue
                if self._is_done():
                    break
                wake_at = self._next_due()
            await self._something_happens(wake_at)
        self.wake()
        return None

    async def _something_happens(self, wake_at: float | None) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        timer = None if wake_at is None else loop.call_at(wake_at, self._wake_one)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    def _wake_one(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
