"""Lines under suspicion: how often each failed, and since when it has been refused. Outlives the run."""

from collections.abc import Mapping
from dataclasses import replace

from nightlane.domain.inference.ports import Kind
from nightlane.domain.shard import Suspicion

# So many are remembered beyond the run; the shard's item has 400 KB for everything.
MOST_REMEMBERED = 500
# A line is refused so often with nothing else in flight before it may be the line's own doing.
LONE_REFUSALS_NEEDED = 3
# These say nothing of a single line, however lonely it is.
NEVER_THE_LINES = frozenset({Kind.UNREACHABLE, Kind.MISCONFIGURED})
# Where only a list of models speaks against a line, it is denied for so much of that patience first.
DENIAL_SHARE = 1 / 3
NOTHING = Suspicion()


class Quarantine:
    """What is held against the lines of one shard."""

    def __init__(self, remembered: Mapping[int, Suspicion]) -> None:
        self._suspicions = dict(remembered)
        self._failures: dict[int, int] = {}

    def has_failed(self, line: int) -> bool:
        """Whether it is among the suspects: others should be asked first."""
        known = self._suspicions.get(line)
        return known is not None and not known.refused_since

    def failures(self, line: int) -> int:
        """Failures of a line in this run, proven or not."""
        return self._failures.get(line, 0)

    def of(self, line: int) -> Suspicion:
        return self._suspicions.get(line, NOTHING)

    def on_failed(self, line: int) -> None:
        """A failure: it counts once the upstream is seen to work."""
        self._failures[line] = self._failures.get(line, 0) + 1
        self._suspicions[line] = replace(self.of(line), refused_since=0, lone_refusals=0, denied_since=0)

    def on_denied(self, line: int, now: float) -> None:
        """A denial: it counts as a failure does, and must last if no other line was answered since."""
        since = self.of(line).denied_since or int(now)
        self.on_failed(line)
        self._suspicions[line] = replace(self.of(line), denied_since=since)

    def on_refused(self, line: int, now: float, *, alone: bool, others_answered: bool) -> None:
        """A refusal: only one that lasts, and that no other line gets, is ever held against it."""
        known = self.of(line)
        self._suspicions[line] = replace(
            known,
            refused_since=known.refused_since or int(now),
            lone_refusals=known.lone_refusals + alone,
            others_answered=known.others_answered or others_answered,
            denied_since=0,
        )

    def prove(self, line: int) -> None:
        """The upstream works, so the line's last failure counts."""
        known = self.of(line)
        self._suspicions[line] = replace(known, failures=known.failures + 1)

    def forget(self, line: int) -> None:
        """The line is finished."""
        self._suspicions.pop(line, None)
        self._failures.pop(line, None)

    def is_refused_alone(self, line: int, now: float, patience_seconds: float) -> bool:
        """Whether the line alone has been refused for too long: a request above the endpoint's limits."""
        known = self.of(line)
        return (
            known.others_answered
            and known.lone_refusals >= LONE_REFUSALS_NEEDED
            and now - known.refused_since >= patience_seconds
        )

    def is_denied_for_long(self, line: int, now: float, patience_seconds: float) -> bool:
        """Whether the line has been denied for a good part of the patience with one that is refused."""
        since = self.of(line).denied_since
        return since > 0 and now - since >= patience_seconds * DENIAL_SHARE

    def remembered(self) -> dict[int, Suspicion]:
        """What the next run should know: the gravest first, if there are too many."""
        gravest = sorted(self._suspicions.items(), key=lambda each: (-each[1].failures, each[0]))
        return dict(gravest[:MOST_REMEMBERED])
