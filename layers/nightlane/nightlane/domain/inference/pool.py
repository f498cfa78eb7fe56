"""The rolling pool: as soon as one request ends the next one starts, up to the limiter's limit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class Throttle(Protocol):
    """How many items may be in flight now, and before when none may start, on the loop's clock."""

    @property
    def pause_until(self) -> float: ...

    def limit(self) -> int: ...


class Pool(Generic[Item]):
    """Works on the items that `take` returns, at most `size` at once.

    Args:
        take: returns the next item, or None for now. Gets the loop's time and whether nothing is in flight.
        read: called when `take` returns None, to read more items; returns False if it should read none now.
        work: processes one item; an exception ends the pool.
        throttle: how many items may be in flight now.
        next_due: returns when `take` may next return an item even if no other item ends before.
        is_done: returns True when nothing is left except what is in flight.
        may_start: once it returns False, nothing more is started and the pool drains.
    """

    def __init__(
        self,
        size: int,
        take: Callable[[float, bool], Item | None],
        read: Callable[[bool], Awaitable[bool]],
        work: Callable[[Item], Awaitable[None]],
        *,
        throttle: Throttle,
        next_due: Callable[[], float | None],
        is_done: Callable[[], bool],
        may_start: Callable[[], bool],
    ) -> None:
        self.in_flight = 0
        self._size = size
        self._take = take
        self._read = read
        self._work = work
        self._throttle = throttle
        self._next_due = next_due
        self._is_done = is_done
        self._may_start = may_start
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self) -> None:
        """Run until nothing is left, or until nothing may start and the pool has drained.

        Cancelling it cancels the work in flight.

        Raises:
            ExceptionGroup: an item's work raised an exception; the other work was cancelled.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._size):
                group.create_task(self._slot())

    def wake(self) -> None:
        """Make every slot check again whether it can start an item."""
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
            now, pause_until = loop.time(), self._throttle.pause_until
            wake_at = pause_until if pause_until > now else None
            if wake_at is None and self.in_flight < self._throttle.limit():
                idle = not self.in_flight
                item = self._take(now, idle)
                if item is not None:
                    self.in_flight += 1
                    return item
                # Reading may take a while, so check again whether anything may start.
                if await self._read(idle):
                    continue
                if self._is_done():
                    break
                wake_at = self._next_due()
            elif self._is_done():
                break
            await self._wait_for_wake_up(wake_at)
        self.wake()
        return None

    async def _wait_for_wake_up(self, wake_at: float | None) -> None:
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
