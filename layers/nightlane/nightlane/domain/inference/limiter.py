"""How many requests may be in flight now: as many as the upstream has proven to handle, up to a maximum."""

import msgspec

from nightlane.domain.inference.attempt import pause_after_refusal
from nightlane.domain.inference.latency_limit import LatencyLimit
from nightlane.domain.inference.refusal_limit import RefusalLimit

# A pause costs capacity, so the next trial of a higher limit comes at least this many times as long after it.
TRIAL_PAUSE_FACTOR = 30.0
MAX_TRIAL_DELAY_SECONDS = 600.0
# The weight of one answer in the mean latency.
SMOOTHING = 0.1


class Ended(msgspec.Struct, frozen=True):
    """A request that has ended. Times are on the monotonic clock, in seconds."""

    began: float
    ended: float
    others: int
    """The requests that were still in flight."""
    refused: bool = False
    output_tokens: int = 0


class Limiter:
    """The lower of two limits: one learned from refusals, and one that keeps a latency target, if any.

    `limit()` and `pause_until` are read before each request; `on_outcome` and `pause` update them.

    Args:
        maximum: is never exceeded.
        start: what is known to be good; None starts at the maximum, or low if there is a target.
        target: seconds per output token that answers should not exceed.
        probing: the upstream was down, so start at one.
    """

    def __init__(
        self,
        maximum: int,
        *,
        start: float | None = None,
        target: float | None = None,
        probing: bool = False,
    ) -> None:
        self._refusals = RefusalLimit(maximum, maximum if start is None else start, probing=probing)
        self._latency = None if target is None else LatencyLimit(maximum, start, target)
        self._mean_seconds: float | None = None
        self.pause_until = 0.0
        """No request is sent before this time, on the monotonic clock."""

    def limit(self) -> int:
        """Return how many requests may be in flight."""
        return max(1, int(self._level))

    @property
    def good(self) -> int:
        """The limit to start with next time."""
        good = self._refusals.good if self._latency is None else min(self._refusals.good, self._latency.level)
        return max(1, int(good))

    def pause_after(self, lone_refusals: int, retry_after: float | None) -> float:
        """Return the seconds to pause after a refusal that asks for it, or with nothing else in flight."""
        pause = pause_after_refusal(lone_refusals, retry_after)
        if retry_after is not None or lone_refusals > 1 or self._mean_seconds is None:
            return pause
        # Requests are being answered, so the next one probably will be as well, at the present pace.
        return min(pause, self._mean_seconds / self._level)

    def on_outcome(self, request: Ended) -> None:
        """A request was answered or refused."""
        if request.refused:
            self._refusals.on_refused(request.began, request.ended, request.others)
            return
        seconds = request.ended - request.began
        mean = self._mean_seconds
        self._mean_seconds = seconds if mean is None else mean + SMOOTHING * (seconds - mean)
        self._refusals.on_answered(request.began, request.ended, request.others)
        if self._latency is not None:
            self._latency.on_answered(request.began, request.ended, request.others, request.output_tokens)
        if self._level < 1:
            # One request at a time is still too much: spread them out.
            spacing = self._mean_seconds * (1 / self._level - 1)
            self.pause_until = max(self.pause_until, request.ended + spacing)

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for `seconds`, after a refusal; the longest of several pauses applies."""
        self.pause_until = max(self.pause_until, now + seconds)
        self._refusals.delay_trial(now + min(MAX_TRIAL_DELAY_SECONDS, TRIAL_PAUSE_FACTOR * seconds))

    @property
    def _level(self) -> float:
        level = self._refusals.level
        return level if self._latency is None else min(level, self._latency.level)
