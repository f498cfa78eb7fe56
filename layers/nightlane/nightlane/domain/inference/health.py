"""The health of an upstream as seen by one worker, from the outcomes of its attempts."""

import math

from nightlane.domain.trouble import Trouble

# Consecutive unanswered attempts, each with nothing else in flight, before all lanes rest.
LONE_ATTEMPTS_BEFORE_DOWN = 3
# The same while the upstream still answers probes: its routes may be up although its model is not.
LONE_ATTEMPTS_WHILE_PROBES_SUCCEED = 10
# After this many consecutive unanswered attempts, the outage is logged and stored with the batch.
DOUBTFUL_STREAK = 3
# The highest acceptable probability that a good line is blamed for random failures of an unreliable upstream.
MAX_FALSE_BLAME_PROBABILITY = 1e-6
MAX_ATTEMPTS = 40
# Good attempts added to those observed, because a failure rate from only a few attempts means little.
ATTEMPTS_ASSUMED_GOOD = 20


class Health:
    """Counts answered and unanswered attempts. Attempts have serial numbers, starting at 1."""

    def __init__(self, *, probing: bool = False) -> None:
        self.attempts = 0
        self.answered = 0
        self.unanswered_streak = 0
        """Consecutive unanswered attempts."""
        self.lone_streak = LONE_ATTEMPTS_BEFORE_DOWN - 1 if probing else 0
        """How many of them had nothing else in flight; after a rest, one is enough to rest again."""
        self.trouble: Trouble | None = None
        """Why the last attempt was not answered; None if it was."""
        self._newest_answered = 0
        self._tries_of_answered = 0
        self._failed_before_answered = 0
        self._only_failures = True
        self._probe_succeeded: bool | None = None

    def begin(self) -> int:
        """Count the start of an attempt and return its serial number."""
        self.attempts += 1
        return self.attempts

    def on_answered(self, serial: int, failures_before: int) -> None:
        """The attempt was answered; its line had failed `failures_before` times in this run."""
        self.answered += 1
        self.on_alive()
        self.trouble = None
        self._newest_answered = max(self._newest_answered, serial)
        self._tries_of_answered += 1 + failures_before
        self._failed_before_answered += failures_before

    def on_alive(self) -> None:
        """The upstream itself answered, so it works."""
        self.unanswered_streak = self.lone_streak = 0
        self._only_failures, self._probe_succeeded = True, None

    def on_unanswered(self, trouble: Trouble, *, alone: bool, failed: bool) -> None:
        """The attempt was refused or failed; `alone` if nothing else was in flight."""
        if self.trouble is not None:
            trouble = Trouble(trouble.kind, trouble.status, trouble.message, self.trouble.since)
        self.trouble = trouble
        self.unanswered_streak += 1
        self.lone_streak += alone
        self._only_failures = self._only_failures and failed

    def on_probe(self, *, succeeded: bool) -> None:
        """A probe was made because nothing was answered."""
        self._probe_succeeded = succeeded

    @property
    def is_doubtful(self) -> bool:
        """Whether nothing has been answered for a while."""
        return self.unanswered_streak >= DOUBTFUL_STREAK

    @property
    def needs_probe(self) -> bool:
        """Failures alone cannot distinguish an outage from bad lines, but a probe can."""
        return (
            self.lone_streak >= LONE_ATTEMPTS_BEFORE_DOWN
            and self._only_failures
            and self._probe_succeeded is None
        )

    @property
    def is_down(self) -> bool:
        """Whether there are only refusals and failures, so that all lanes should rest."""
        if self._only_failures and self._probe_succeeded is not False:
            return self.lone_streak >= LONE_ATTEMPTS_WHILE_PROBES_SUCCEED
        return self.lone_streak >= LONE_ATTEMPTS_BEFORE_DOWN

    def worked_since(self, serial: int) -> bool:
        """Whether an attempt that began after this one was answered."""
        return self._newest_answered > serial

    def attempts_needed(self, line_attempts: int) -> int:
        """Return how many failures it takes to blame a line: more than usual where good lines fail often too.

        The failure rate is that of lines that were eventually answered; the others do not count.
        """
        if not self._failed_before_answered:
            return line_attempts
        rate = self._failed_before_answered / (self._tries_of_answered + ATTEMPTS_ASSUMED_GOOD)
        needed = math.ceil(math.log(MAX_FALSE_BLAME_PROBABILITY) / math.log(rate))
        return max(line_attempts, min(MAX_ATTEMPTS, needed))
