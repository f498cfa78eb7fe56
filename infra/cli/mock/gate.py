"""How much the mock endpoint takes at once: it refuses what is too much, or lets it wait."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capacity:
    """All limits are off by default."""

    rate_limit: int | None = None
    """Return 429 above this many requests in flight."""
    requests_per_second: float | None = None
    """Return 429 above this rate, after a burst of as many requests as come in one second."""
    slots: int | None = None
    """Serve this many requests at once and queue the others."""
    retry_after: int = 1
    """Seconds in the Retry-After of a 429; 0 leaves it out."""


NO_LIMITS = Capacity()


class Refused(Exception):
    """The request is one too many."""


class Gate:
    """Lets requests in; `capacity` may be replaced at any time. `monotonic` returns seconds."""

    def __init__(self, capacity: Capacity, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.set(capacity)

    def set(self, capacity: Capacity) -> None:
        """Replace the capacity."""
        self.capacity = capacity
        self._tokens, self._filled_at = capacity.requests_per_second or 0.0, self._monotonic()
        self._slots = asyncio.Semaphore(capacity.slots) if capacity.slots else None

    @asynccontextmanager
    async def enter(self, in_flight: int) -> AsyncIterator[None]:
        """Wait until the request may be served; `in_flight` includes it. Raises: Refused."""
        limit, rate = self.capacity.rate_limit, self.capacity.requests_per_second
        if (limit is not None and in_flight > limit) or (rate is not None and not self._take_token(rate)):
            raise Refused
        if self._slots is None:
            yield
        else:
            async with self._slots:
                yield

    def _take_token(self, rate: float) -> bool:
        now = self._monotonic()
        self._tokens = min(rate, self._tokens + rate * (now - self._filled_at))
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
