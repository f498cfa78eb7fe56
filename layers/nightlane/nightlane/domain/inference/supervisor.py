"""Who stops a run, and why: deadline, lease, expiry and cancel. Timers only; it never waits for I/O."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.inference.ports import LeaseView

TICK_SECONDS = 0.2
# Before the function's timeout: no new requests, then no requests at all, so that the commit fits.
WIND_DOWN_SECONDS = 60.0
LAST_COMMIT_SECONDS = 15.0
# No new requests either when the slowest so far, and half as long again, would not fit.
SLOWEST_FACTOR = 1.5


class Stop(Enum):
    """Why a run stopped before its lines were all finished."""

    CANCELLED = auto()
    EXPIRED = auto()
    OUT_OF_TIME = auto()
    UPSTREAM_DOWN = auto()
    REFUSED_ALONE = auto()
    """The upstream works, but not for the lines that are left: they are asked again later."""
    REPLACED = auto()
    """The lease or the epoch is another worker's now, or the batch is closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run must end: the batch's expiry in seconds since 1970, the deadline on the monotonic clock."""

    expires_at: float
    deadline: float
    cancel_grace_seconds: float


class Supervisor:
    """Looks at the clock every tick; `on_halt` and `on_abort` are called once each, at most.

    Halting lets what is in flight end; aborting gives it up, too.
    """

    def __init__(
        self, limits: Limits, lease: LeaseView, now: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.stop: Stop | None = None
        self.slowest = 0.0
        """Seconds of the slowest request so far."""
        self.on_halt: Callable[[], None] = lambda: None
        self.on_abort: Callable[[], None] = lambda: None
        self._limits = limits
        self._lease = lease
        self._now = now
        self._monotonic = monotonic
        self._drained_by: float | None = None
        self._aborted = False

    async def watch(self) -> None:
        """Look every tick, until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.look()

    def look(self) -> None:
        """Stop the run if its time has come."""
        left = self._limits.deadline - self._monotonic()
        if not self._lease.is_held:
            self.abort(Stop.REPLACED)
        elif self._now() >= self._limits.expires_at:
            self.abort(Stop.EXPIRED)
        elif left <= LAST_COMMIT_SECONDS:
            self.abort(Stop.OUT_OF_TIME)
        elif self._drained_by is not None and self._now() >= self._drained_by:
            self.abort(Stop.CANCELLED)
        elif left <= max(WIND_DOWN_SECONDS, SLOWEST_FACTOR * self.slowest):
            self.halt(Stop.OUT_OF_TIME)

    def may_start(self) -> bool:
        """Whether a request may start. A process that was frozen wakes up before its next tick."""
        if not self._lease.is_held:
            self.abort(Stop.REPLACED)
        elif self._now() >= self._limits.expires_at:
            self.halt(Stop.EXPIRED)
        return self.stop is None

    @property
    def may_commit(self) -> bool:
        """Whether it is worth trying a failed commit again."""
        return self._lease.is_held and self._monotonic() < self._limits.deadline - TICK_SECONDS

    def on_batch(self, batch: Batch | None) -> None:
        """What was read of the batch meanwhile."""
        if batch is None or not batch.is_open:
            self.abort(Stop.REPLACED)
        elif batch.status is BatchStatus.CANCELLING:
            grace = self._limits.cancel_grace_seconds - LAST_COMMIT_SECONDS
            self._drained_by = (batch.cancelling_at or 0) + grace
            self.halt(Stop.CANCELLED)

    def halt(self, reason: Stop) -> None:
        """Start no request any more; those in flight may end."""
        if self.stop is None:
            self.stop = reason
            self.on_halt()

    def abort(self, reason: Stop) -> None:
        """Give up the requests in flight, too."""
        if reason is Stop.REPLACED:
            self.stop = reason
        self.halt(reason)
        if not self._aborted:
            self._aborted = True
            self.on_abort()
