"""How the upstream stands: feeds health and limiter with outcomes, says it aloud, sends everybody to rest."""

from nightlane.domain.inference.attempt import pause_after_refusal
from nightlane.domain.inference.feed import Feed
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.limiter import Limiter
from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.supervisor import Stop, Supervisor
from nightlane.domain.inference.table import Verdict
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import Trouble
from nightlane.settings import InferenceSettings

# Nothing but a used-up quota for so long, and nothing ever answered: its user must hear of it now.
QUOTA_PATIENCE_SECONDS = 10.0
# A longer Retry-After, with nothing in flight, is spent at rest and not in a paid worker.
LONGEST_WAIT_SECONDS = 20.0


class Standing:
    """What the attempts of a run say of the upstream; `served` if a line of the batch was answered before."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        feed: Feed,
        limiter: Limiter,
        health: Health,
        supervisor: Supervisor,
        *,
        served: bool,
    ) -> None:
        self.served = served
        """A line of the batch was answered, ever."""
        self.retry_after: float | None = None
        """How long the upstream asked everybody to stay away, if it is longer than a worker should wait."""
        self._ports = ports
        self._feed = feed
        self._limiter = limiter
        self._health = health
        self._supervisor = supervisor
        self._quota_since: float | None = None

    def on_answered(self, serial: int, failures_before: int) -> None:
        """The upstream dealt with a line."""
        self.served, self._quota_since = True, None
        if self._health.is_doubtful:
            self._ports.log("the upstream answers again", upstream=self._ports.settings.upstream_url)
        self._health.on_answered(serial, failures_before)
        self._limiter.on_answered()

    def on_given_up(self) -> None:
        """What it refused was the line's own: nobody need hold back for that."""
        self._health.on_alive()
        self._limiter.on_answered()

    def on_trouble(self, outcome: Outcome, *, alone: bool) -> None:
        """An attempt was not answered; `alone` if nothing else was in flight, and it may speak for itself."""
        health, status = self._health, outcome.answer.status if outcome.answer else None
        # An upstream that never answered is told of at once, one that did once it is silent for a while.
        is_known = health.is_doubtful or (not health.answered and health.trouble is not None)
        trouble = Trouble(outcome.kind, status, outcome.message, int(self._ports.now()))
        health.on_unanswered(trouble, alone=alone, failed=outcome.verdict is Verdict.FAILED)
        if not is_known and (health.is_doubtful or not health.answered):
            self._ports.log(
                "the upstream does not answer",
                upstream=self._ports.settings.upstream_url,
                kind=outcome.kind.value,
                status=status,
                reason=outcome.message,
            )

    def ask_less(self, outcome: Outcome, others_in_flight: int) -> None:
        """After a refusal; after a failure only once they come in a row."""
        if outcome.verdict is not Verdict.FAILED or self._health.is_doubtful:
            self._limiter.on_refused(others_in_flight)
            self.pause(outcome, alone=not others_in_flight)

    def pause(self, outcome: Outcome, *, alone: bool) -> None:
        """What a refusal asks for holds for the whole upstream, not for one line."""
        if outcome.retry_after is not None or alone:
            seconds = pause_after_refusal(self._health.alone, outcome.retry_after)
            self._limiter.pause(self._ports.monotonic() + seconds)

    def is_quota_used_up(self, outcome: Outcome) -> bool:
        """Whether nothing but a used-up quota was heard for a while, and no line was ever answered."""
        now = self._ports.monotonic()
        if outcome.kind is not Kind.QUOTA or self.served:
            self._quota_since = None
            return False
        if self._quota_since is None:
            self._quota_since = now
        return now - self._quota_since >= QUOTA_PATIENCE_SECONDS

    def rest_if_down(self, outcome: Outcome, *, idle: bool, lonely: bool) -> None:
        """Stop the run if it is of no use; `lonely` if only lines are left that alone are refused."""
        if outcome.kind is Kind.QUOTA and not self.served:
            return
        far = outcome.retry_after is not None and outcome.retry_after > LONGEST_WAIT_SECONDS
        if far and outcome.verdict is Verdict.REFUSED and idle:
            self.retry_after = outcome.retry_after
        elif self._health.wants_probe:
            self._feed.wants_probe = True
            return
        elif not self._health.is_down:
            return
        self._supervisor.halt(Stop.REFUSED_ALONE if lonely else Stop.UPSTREAM_DOWN)
