"""How many bytes a worker may hold: requests and answers in flight, and uncommitted results."""

import asyncio
from collections import deque
from collections.abc import Callable


class ByteBudget:
    """Counts the bytes in use and makes large answers wait for room, in order.

    Small or already held data is only counted (`take`). A large answer waits (`reserve`) until it fits, or
    until no other large answer is being read or kept, so that none waits forever, however small the budget.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.on_pressure: Callable[[], None] = lambda: None
        """Called when an answer has to wait: a commit would free bytes."""
        self._reserved = 0
        self._kept = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether no new request should be started."""
        return self.used >= self.limit or bool(self._waiting)

    def take(self, size: int) -> None:
        """Count bytes that are already held."""
        self.used += size

    def give_back(self, size: int) -> None:
        """Free bytes counted by `take`."""
        self.used -= size
        if self._waiting:
            self._admit()

    def keep(self, size: int) -> None:
        """Count the bytes of a result that is not committed yet."""
        self._kept += size
        self.used += size

    def drop(self, size: int) -> None:
        """Free the bytes of results that are now committed."""
        self._kept -= size
        self.give_back(size)

    async def reserve(self, size: int) -> None:
        """Wait until there is room for this many bytes, then count them."""
        if not self._waiting and self._fits(size):
            self._grant(size)
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        self.on_pressure()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(size)
            raise

    def release(self, size: int) -> None:
        """End a reservation."""
        self._reserved -= size
        self.give_back(size)

    def _fits(self, size: int) -> bool:
        return self.used + size <= self.limit or not (self._reserved or self._kept)

    def _grant(self, size: int) -> None:
        self._reserved += size
        self.used += size

    def _admit(self) -> None:
        while self._waiting:
            size, future = self._waiting[0]
            if not future.done():
                if not self._fits(size):
                    break
                self._grant(size)
                future.set_result(None)
            self._waiting.popleft()
