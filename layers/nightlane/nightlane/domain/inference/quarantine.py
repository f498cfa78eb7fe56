"""Lines under suspicion: how often each has failed and how long it has been refused, over several runs."""

from collections.abc import Mapping

from msgspec.structs import replace

from nightlane.domain.inference.ports import Kind
from nightlane.domain.shard import Suspicion

# How many suspicions are stored for the next run: the shard's item is limited to 400 KB in total.
MAX_REMEMBERED = 500
# Refusals with nothing else in flight before the line itself may be the reason.
LONE_REFUSALS_NEEDED = 3
# These never say anything about a single line, even if no other line gets them.
NEVER_THE_LINES_FAULT = frozenset({Kind.UNREACHABLE, Kind.MISCONFIGURED})
# When only a list of models is evidence against a line, it must be denied for this share of the patience.
DENIAL_SHARE = 1 / 3
NO_SUSPICION = Suspicion()


class Quarantine:
    """The suspicions about the lines of one shard."""

    def __init__(self, remembered: Mapping[int, Suspicion]) -> None:
        self._suspicions = dict(remembered)
        self._failures: dict[int, int] = {}

    def is_suspect(self, line: int) -> bool:
        """Whether the line has failed or been denied, so that other lines should be sent first."""
        known = self._suspicions.get(line)
        return known is not None and not known.refused_since

    def failures_in_run(self, line: int) -> int:
        """Return the line's failures in this run, proven or not."""
        return self._failures.get(line, 0)

    def suspicion_of(self, line: int) -> Suspicion:
        """Return what is known against the line."""
        return self._suspicions.get(line, NO_SUSPICION)

    def on_failed(self, line: int) -> None:
        """Note a failure, which counts once there is proof that the upstream works."""
        self._failures[line] = self._failures.get(line, 0) + 1
        self._suspicions[line] = replace(
            self.suspicion_of(line), refused_since=0, lone_refusals=0, denied_since=0
        )

    def on_denied(self, line: int, now: float) -> None:
        """Note a denial: it counts like a failure, but must last if no other line has been answered since."""
        since = self.suspicion_of(line).denied_since or int(now)
        self.on_failed(line)
        self._suspicions[line] = replace(self.suspicion_of(line), denied_since=since)

    def on_refused(self, line: int, now: float, *, alone: bool, others_answered: bool) -> None:
        """Note a refusal, which counts against the line only if it lasts and no other line gets it."""
        known = self.suspicion_of(line)
        self._suspicions[line] = replace(
            known,
            refused_since=known.refused_since or int(now),
            lone_refusals=known.lone_refusals + alone,
            others_answered=known.others_answered or others_answered,
            denied_since=0,
        )

    def confirm_failure(self, line: int) -> None:
        """Count the line's last failure, now that the upstream is known to work."""
        known = self.suspicion_of(line)
        self._suspicions[line] = replace(known, failures=known.failures + 1)

    def forget(self, line: int) -> None:
        """Drop what is known about a finished line."""
        self._suspicions.pop(line, None)
        self._failures.pop(line, None)

    def is_refused_alone(self, line: int, now: float, patience_seconds: float) -> bool:
        """Whether only this line has been refused for too long, perhaps because it exceeds a limit."""
        known = self.suspicion_of(line)
        return (
            known.others_answered
            and known.lone_refusals >= LONE_REFUSALS_NEEDED
            and now - known.refused_since >= patience_seconds
        )

    def is_denied_for_long(self, line: int, now: float, patience_seconds: float) -> bool:
        """Whether the line has been denied for `DENIAL_SHARE` of the patience."""
        since = self.suspicion_of(line).denied_since
        return since > 0 and now - since >= patience_seconds * DENIAL_SHARE

    def remembered(self) -> dict[int, Suspicion]:
        """Return the suspicions to store for the next run; if too many, those with the most failures."""
        by_failures = sorted(self._suspicions.items(), key=lambda each: (-each[1].failures, each[0]))
        return dict(by_failures[:MAX_REMEMBERED])
