"""The health of an upstream as one worker sees it, fed by the outcomes of its attempts."""

import math

from nightlane.domain.trouble import Trouble

# Attempts in a row that were not answered, each with nothing else in flight, before all lanes rest.
ALONE_BEFORE_DOWN = 3
# As many when the upstream still answers probes: its routes may be up while its model is not.
ALONE_WHILE_PROBES_SUCCEED = 10
# From here on it is said aloud that the upstream does not answer.
DOUBTFUL_STREAK = 3
# How likely it may be at most that a line is blamed for what an unreliable upstream does by chance.
BLAME_BY_CHANCE = 1e-6
MOST_ATTEMPTS = 40
# The rate of failures is taken as seen among so many good attempts more: a few say little.
ATTEMPTS_ASSUMED_GOOD = 20


class Health:
    """Counts what was answered and what was not. Attempts are known by serial numbers, from 1."""

    def __init__(self, *, probing: bool = False) -> None:
        self.attempts = 0
        self.answered = 0
        self.streak = 0
        """Attempts in a row that were not answered."""
        self.alone = ALONE_BEFORE_DOWN - 1 if probing else 0
        """Of these, how many had nothing else in flight; after a rest one is enough to rest again."""
        self.trouble: Trouble | None = None
        """Of the last attempt, if it was not answered."""
        self._newest_answered = 0
        self._tries_of_answered = 0
        self._failed_before_answered = 0
        self._only_failures = True
        self._probe_succeeded: bool | None = None

    def begin(self) -> int:
        """An attempt starts; returns its serial number."""
        self.attempts += 1
        return self.attempts

    def on_answered(self, serial: int, failures_before: int) -> None:
        """The attempt was answered, after so many failures of its line in this run."""
        self.answered += 1
        self.on_alive()
        self.trouble = None
        self._newest_answered = max(self._newest_answered, serial)
        self._tries_of_answered += 1 + failures_before
        self._failed_before_answered += failures_before

    def on_alive(self) -> None:
        """The upstream gave an answer of its own."""
        self.streak = self.alone = 0
        self._only_failures, self._probe_succeeded = True, None

    def on_unanswered(self, trouble: Trouble, *, alone: bool, failed: bool) -> None:
        """The attempt was refused or failed; `alone` if nothing else was in flight."""
        if self.trouble is not None:
            trouble = Trouble(trouble.kind, trouble.status, trouble.message, self.trouble.since)
        self.trouble = trouble
        self.streak += 1
        self.alone += alone
        self._only_failures = self._only_failures and failed

    def on_probe(self, *, succeeded: bool) -> None:
        """What a probe said while nothing was answered."""
        self._probe_succeeded = succeeded

    @property
    def is_doubtful(self) -> bool:
        """Nothing was answered for a while."""
        return self.streak >= DOUBTFUL_STREAK

    @property
    def wants_probe(self) -> bool:
        """Failures alone do not tell an upstream that is down from lines that are bad: a probe may."""
        return self.alone >= ALONE_BEFORE_DOWN and self._only_failures and self._probe_succeeded is None

    @property
    def is_down(self) -> bool:
        """Nothing but refusals and failures: all lanes should rest."""
        if self._only_failures and self._probe_succeeded is not False:
            return self.alone >= ALONE_WHILE_PROBES_SUCCEED
        return self.alone >= ALONE_BEFORE_DOWN

    def worked_since(self, serial: int) -> bool:
        """Whether an attempt that began after that one was answered."""
        return self._newest_answered > serial

    def attempts_needed(self, line_attempts: int) -> int:
        """Failures that make a line the culprit: more than usual where good lines fail often, too.

        The rate is that of lines that were answered in the end; those that never were do not count.
        """
        if not self._failed_before_answered:
            return line_attempts
        rate = self._failed_before_answered / (self._tries_of_answered + ATTEMPTS_ASSUMED_GOOD)
        needed = math.ceil(math.log(BLAME_BY_CHANCE) / math.log(rate))
        return max(line_attempts, min(MOST_ATTEMPTS, needed))
