"""Stops a run at its deadline or expiry, without a lease, or on cancel. Timers only; never waits for I/O."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.inference.ports import LeaseView

TICK_SECONDS = 0.2
# This long before the deadline the requests in flight are given up, so that the last commit fits.
LAST_COMMIT_SECONDS = 15.0
# Before that, no request is started that would probably not be answered in time: it may take as long as these
# multiples of the slowest and of the mean of those answered, or this many seconds while none was answered.
SLOWEST_FACTOR = 1.5
MEAN_FACTOR = 5.0
UNKNOWN_LATENCY_SECONDS = 45.0


class Stop(Enum):
    """Why a run stopped before all its lines were finished."""

    CANCELLED = auto()
    EXPIRED = auto()
    OUT_OF_TIME = auto()
    UPSTREAM_DOWN = auto()
    REFUSED_ALONE = auto()
    """The upstream works, but refuses each of the remaining lines: they are retried later."""
    NO_SHARE = auto()
    """The lanes of other batches use all that the upstream may get."""
    INACTIVE = auto()
    """The upstream's active hours are over."""
    HANDED_OVER = auto()
    """The lane's message was let go early: another worker runs the lane."""
    REPLACED = auto()
    """Another worker has the lease or the epoch now, or the batch is closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run must end: the batch's expiry in seconds since 1970, the deadline on the monotonic clock."""

    expires_at: float
    deadline: float
    cancel_grace_seconds: float
    active_until: float = math.inf
    """When the upstream's active hours end, in seconds since 1970."""


class Supervisor:
    """Checks the clock at every tick; `on_halt` and `on_abort` are each called at most once.

    Halting lets the requests in flight finish; aborting gives them up.
    """

    def __init__(
        self, limits: Limits, lease: LeaseView, now: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.stop: Stop | None = None
        self.on_halt: Callable[[], None] = lambda: None
        self.on_abort: Callable[[], object] = lambda: None
        self._limits = limits
        self._lease = lease
        self._now = now
        self._monotonic = monotonic
        self._drain_deadline: float | None = None
        self.has_aborted = False
        self._aside_until = math.inf
        self._answers = 0
        self._answer_seconds = 0.0
        self._slowest_seconds = 0.0

    def on_answer(self, seconds: float) -> None:
        """A request took this long to be answered."""
        self._answers += 1
        self._answer_seconds += seconds
        if seconds > self._slowest_seconds:
            self._slowest_seconds = seconds

    @property
    def wind_down_seconds(self) -> float:
        """How long before the deadline to start no more requests."""
        if not self._answers:
            return LAST_COMMIT_SECONDS + UNKNOWN_LATENCY_SECONDS
        mean = self._answer_seconds / self._answers
        return LAST_COMMIT_SECONDS + min(SLOWEST_FACTOR * self._slowest_seconds, MEAN_FACTOR * mean)

    async def watch(self) -> None:
        """Check at every tick, until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.check()

    def check(self) -> None:
        """Stop the run if it is time."""
        left = min(self._limits.deadline - self._monotonic(), self._aside_until - self._now())
        if not self._is_held:
            self.abort(Stop.REPLACED)
        elif self._now() >= self._limits.expires_at:
            self.abort(Stop.EXPIRED)
        elif left <= LAST_COMMIT_SECONDS:
            self.abort(Stop.OUT_OF_TIME)
        elif self._drain_deadline is not None and self._now() >= self._drain_deadline:
            self.abort(Stop.CANCELLED)
        elif self._now() >= self._limits.active_until:
            self.halt(Stop.INACTIVE)
        elif left <= self.wind_down_seconds:
            self.halt(Stop.OUT_OF_TIME)

    def may_start(self) -> bool:
        """Whether a request may start. Checked here too: a process that was frozen has missed its ticks."""
        if not self._is_held:
            self.abort(Stop.REPLACED)
        elif self._now() >= self._limits.expires_at:
            self.halt(Stop.EXPIRED)
        return self.stop is None

    @property
    def may_commit(self) -> bool:
        """Whether a failed commit is worth retrying."""
        return self._is_held and self._monotonic() < self._limits.deadline - TICK_SECONDS

    def step_aside(self, until: float) -> None:
        """Let the requests in flight go on without the lease, until then at most, in seconds since 1970."""
        self._aside_until = until

    @property
    def _is_held(self) -> bool:
        return self._aside_until < math.inf or self._lease.is_held

    def on_batch(self, batch: Batch | None) -> None:
        """React to the batch as it was just read."""
        if batch is None or not batch.is_open:
            self.abort(Stop.REPLACED)
        elif batch.status is BatchStatus.CANCELLING:
            grace = self._limits.cancel_grace_seconds - LAST_COMMIT_SECONDS
            self._drain_deadline = (batch.cancelling_at or 0) + grace
            self.halt(Stop.CANCELLED)

    def halt(self, reason: Stop) -> None:
        """Start no more requests; those in flight may finish."""
        if self.stop is None:
            self.stop = reason
            self.on_halt()

    def abort(self, reason: Stop) -> None:
        """Halt, and give up the requests in flight."""
        if reason is Stop.REPLACED:
            self.stop = reason
        self.halt(reason)
        if not self.has_aborted:
            self.has_aborted = True
            self.on_abort()
