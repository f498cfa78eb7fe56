"""Watches the upstream: passes outcomes to health and limiter, logs outages, and starts rests."""

from msgspec.structs import replace

from nightlane.domain.inference.feed import Feed
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.limiter import Ended, Limiter
from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.supervisor import Stop, Supervisor
from nightlane.domain.inference.table import Verdict
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import Trouble
from nightlane.settings import InferenceSettings

# A batch that was never served ends after this long of nothing but an exhausted quota, so that its user
# learns the reason soon.
QUOTA_PATIENCE_SECONDS = 10.0
# With nothing in flight, a longer Retry-After is spent resting rather than in a worker that costs money.
MAX_WAIT_SECONDS = 20.0


class UpstreamMonitor:
    """What the attempts of a run show about the upstream; `served` if it has answered lines of the batch."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        upstream: str,
        feed: Feed,
        limiter: Limiter,
        health: Health,
        supervisor: Supervisor,
        *,
        served: bool,
    ) -> None:
        self.served = served
        """Some line of the batch has been answered."""
        self.retry_after: float | None = None
        """How long the upstream asked its clients to wait, if that is longer than a worker should."""
        self._ports = ports
        self._upstream = upstream
        self._feed = feed
        self._limiter = limiter
        self._health = health
        self._supervisor = supervisor
        self._quota_since: float | None = None
        self._is_reported = False
        """The log says that it does not answer."""

    def on_answered(self, serial: int, failures_before: int, request: Ended) -> None:
        """The upstream answered or rejected a line."""
        self.served, self._quota_since = True, None
        if self._is_reported:
            self._is_reported = False
            self._ports.log("the upstream answers again", upstream=self._upstream)
        self._health.on_answered(serial, failures_before)
        self._limiter.on_outcome(request)

    def on_given_up(self, request: Ended) -> None:
        """A line was given up for what was its own fault, so the upstream counts as working."""
        self._health.on_alive()
        self._limiter.on_outcome(request)

    def on_trouble(self, outcome: Outcome, *, alone: bool) -> None:
        """An attempt was not answered; `alone` if nothing else was in flight and it counts as evidence."""
        health, status = self._health, outcome.answer.status if outcome.answer else None
        trouble = Trouble(outcome.kind, status, outcome.message, int(self._ports.now()))
        health.on_unanswered(trouble, alone=alone, failed=outcome.verdict is Verdict.FAILED)
        # One that has not answered yet is reported at once, one that has only after a few attempts. Refusals
        # while other requests are served are the limiter's business.
        is_serving = outcome.verdict is Verdict.REFUSED and not alone
        if not self._is_reported and (not health.answered or (health.is_doubtful and not is_serving)):
            self._is_reported = True
            self._ports.log(
                "the upstream does not answer",
                upstream=self._upstream,
                kind=outcome.kind.value,
                status=status,
                reason=outcome.message,
            )

    def slow_down(self, outcome: Outcome, request: Ended) -> None:
        """Lower the limit after a refusal, or after several consecutive failures."""
        if outcome.verdict is not Verdict.FAILED or self._health.is_doubtful:
            self._limiter.on_outcome(replace(request, refused=True))
            self.pause(outcome, alone=not request.others)

    def pause(self, outcome: Outcome, *, alone: bool) -> None:
        """Pause all lines, because what a refusal asks for applies to the whole upstream."""
        if outcome.retry_after is not None or alone:
            seconds = self._limiter.pause_after(self._health.lone_streak, outcome.retry_after)
            self._limiter.pause(self._ports.monotonic(), seconds)

    def is_quota_used_up(self, outcome: Outcome) -> bool:
        """Whether the upstream has only reported an exhausted quota for a while and never answered a line."""
        now = self._ports.monotonic()
        if outcome.kind is not Kind.QUOTA or self.served:
            self._quota_since = None
            return False
        if self._quota_since is None:
            self._quota_since = now
        return now - self._quota_since >= QUOTA_PATIENCE_SECONDS

    def rest_if_down(self, outcome: Outcome, *, idle: bool, only_refused_left: bool) -> None:
        """Stop the run if continuing is pointless.

        `only_refused_left`: each remaining line is refused while others are answered.
        """
        if outcome.kind is Kind.QUOTA and not self.served:
            return
        is_long_wait = outcome.retry_after is not None and outcome.retry_after > MAX_WAIT_SECONDS
        if is_long_wait and outcome.verdict is Verdict.REFUSED and idle:
            self.retry_after = outcome.retry_after
        elif self._health.needs_probe:
            self._feed.probe_requested = True
            return
        elif not self._health.is_down:
            return
        self._supervisor.halt(Stop.REFUSED_ALONE if only_refused_left else Stop.UPSTREAM_DOWN)
