"""How many bytes a worker may hold: requests and answers in flight, and results not committed yet."""

import asyncio
from collections import deque
from collections.abc import Callable


class ByteBudget:
    """Bytes in use, and large answers that wait for their place, in order.

    What is small, or held already, is only counted (`take`). A large answer waits (`reserve`) until it fits,
    or until no other one is read or kept: so nobody waits for ever, however small the budget.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.on_pressure: Callable[[], None] = lambda: None
        """Called when somebody has to wait: a commit would free bytes."""
        self._reserved = 0
        self._kept = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be begun."""
        return self.used >= self.limit or bool(self._waiting)

    def take(self, size: int) -> None:
        """Count bytes that are held already."""
        self.used += size

    def give_back(self, size: int) -> None:
        """These bytes are free again."""
        self.used -= size
        if self._waiting:
            self._admit()

    def keep(self, size: int) -> None:
        """Count bytes of a result, until it is committed."""
        self._kept += size
        self.used += size

    def drop(self, size: int) -> None:
        """Results of so many bytes are committed."""
        self._kept -= size
        self.give_back(size)

    async def reserve(self, size: int) -> None:
        """Return once there is room for so many bytes, and count them."""
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
