"""What to send next: lines due for a retry, then new lines, then a probe for the held lines."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.lane_lines import LaneLines
from nightlane.domain.inference.lines import Line
from nightlane.domain.inference.open_shards import OpenShard
from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.table import Verdict

# Waiting lines keep their bodies in memory, so no new line is started while this many (or, if that is more,
# twice the lane's slots) are waiting.
MAX_PENDING = 50


@dataclass(slots=True, eq=False)
class Candidate:
    """An unfinished line; times are on the monotonic clock."""

    line: Line
    shard: OpenShard
    serial: int = 0
    """The serial number of its last attempt."""
    last: Outcome | None = None
    """The outcome of its last attempt in this run."""
    due: float = 0.0
    """For a held line: the earliest time at which a probe counts as proof against it."""
    needs_rest: bool = False
    """This line, unlike the others, should rest before it is retried."""

    @property
    def is_refused(self) -> bool:
        """Whether its last attempt was refused or denied rather than failed."""
        return self.last is not None and self.last.verdict is not Verdict.FAILED


class Probe:
    """Taken instead of a line: check whether the upstream works."""


PROBE = Probe()


class Feed:
    """The unfinished lines of a run, in the order in which they should be sent."""

    def __init__(self, lines: LaneLines, slots: int, budget: ByteBudget) -> None:
        self.probe_requested = False
        """Set it to make `take` return a probe next."""
        self.more_later: Callable[[], bool] = lambda: False
        """Returns whether there may be new lines later, although there are none now."""
        self._lines = lines
        self._max_pending = max(MAX_PENDING, 2 * slots)
        self._budget = budget
        self._exhausted = False
        self._due: list[tuple[float, int, Candidate]] = []
        self._order = itertools.count()
        self._held: list[Candidate] = []
        self._probing = False

    @property
    def is_exhausted(self) -> bool:
        """Whether there are no new lines."""
        return self._exhausted

    @property
    def is_empty(self) -> bool:
        """Whether no line is waiting or new; the remaining ones are in flight."""
        return self._exhausted and not self._due and not self._held

    @property
    def held(self) -> list[Candidate]:
        """The lines held until there is proof that the upstream works."""
        return list(self._held)

    @property
    def pending(self) -> list[Candidate]:
        """The lines waiting for a retry or for proof."""
        return [each for _, _, each in self._due] + self._held

    @property
    def has_new(self) -> bool:
        """Whether a new line may be started."""
        return not self._exhausted and len(self._due) + len(self._held) < self._max_pending

    def next_due(self) -> float | None:
        """Return when there will be something to take; None if no time is known."""
        times = [self._due[0][0]] if self._due else []
        if self._held and not self.has_new and not self._probing:
            times.append(min(each.due for each in self._held))
        return min(times, default=None)

    def take(self, now: float, idle: bool) -> Candidate | Probe | None:
        """Return what to send now, if anything is ready; `idle` if nothing is in flight."""
        if self.probe_requested and not self._probing:
            self.probe_requested, self._probing = False, True
            return PROBE
        if self._due and self._due[0][0] <= now:
            return heapq.heappop(self._due)[2]
        while self._may_start_new(idle):
            if (taken := self._lines.take()) is None:
                return None
            shard, line = taken
            candidate = Candidate(line, shard)
            if not shard.quarantine.is_suspect(line.number):
                return candidate
            self.hold(candidate, now)
        return self._take_held(now)

    async def read(self, idle: bool) -> bool:
        """Read more lines if a new one may be started; returns False if not."""
        if not self._may_start_new(idle):
            return False
        if await self._lines.read():
            return True
        self._exhausted = not self.more_later()
        return self._exhausted

    def _may_start_new(self, idle: bool) -> bool:
        return self.has_new and (idle or not self._budget.is_full)

    def _take_held(self, now: float) -> Candidate | Probe | None:
        """When nothing else is left: first suspects that this run has not sent yet, then a probe."""
        if self.has_new or self._probing:
            return None
        for index, candidate in enumerate(self._held):
            if candidate.last is None:
                return self._held.pop(index)
        if any(each.due <= now for each in self._held):
            self._probing = True
            return PROBE
        return None

    def retry(self, candidate: Candidate, due: float) -> None:
        """Retry the line at `due` at the earliest."""
        heapq.heappush(self._due, (due, next(self._order), candidate))

    def hold(self, candidate: Candidate, probe_due: float) -> None:
        """Hold the line until there is proof that the upstream works; a probe counts from `probe_due` on."""
        candidate.due = probe_due
        self._held.append(candidate)

    def release(self, proven: Callable[[Candidate], bool]) -> list[Candidate]:
        """Remove and return the held lines for which `proven` is true."""
        if not self._held:
            return []
        released = [each for each in self._held if proven(each)]
        if released:
            self._held = [each for each in self._held if not proven(each)]
        return released

    def end_probe(self) -> None:
        """Allow another probe."""
        self._probing = False
