"""What to ask next: lines that are due again, then lines never asked, then a probe for those held."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.lines import Line, UnfinishedLines
from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.table import Verdict

# Lines that wait keep their bodies: with more than these, and twice the lane's slots, no new one is begun.
MOST_PENDING = 50


@dataclass(slots=True, eq=False)
class Candidate:
    """A line that is not finished; times on the monotonic clock."""

    line: Line
    serial: int = 0
    """Of its last attempt."""
    last: Outcome | None = None
    due: float = 0.0
    """When it may be asked again, or, if it is held, when a probe may speak against it."""
    waits: bool = False
    """It needs a rest before it is asked again; nobody else does."""

    @property
    def is_refused(self) -> bool:
        """Whether its last attempt was refused or denied, and did not fail."""
        return self.last is not None and self.last.verdict is not Verdict.FAILED


class Probe:
    """Instead of a line: ask the upstream whether it lives."""


PROBE = Probe()


class Feed:
    """The lines of a run that are not finished, in the order in which they should be asked."""

    def __init__(
        self,
        lines: UnfinishedLines,
        is_suspect: Callable[[int], bool],
        slots: int,
        budget: ByteBudget,
    ) -> None:
        self.wants_probe = False
        """Set it to have the next thing be a probe."""
        self._lines = lines
        self._is_suspect = is_suspect
        self._most_pending = max(MOST_PENDING, 2 * slots)
        self._budget = budget
        self._exhausted = False
        self._due: list[tuple[float, int, Candidate]] = []
        self._order = itertools.count()
        self._held: list[Candidate] = []
        self._probing = False

    @property
    def is_empty(self) -> bool:
        """Nothing waits and nothing is new: what is left is in flight."""
        return self._exhausted and not self._due and not self._held

    @property
    def held(self) -> list[Candidate]:
        """The lines that wait for proof."""
        return list(self._held)

    @property
    def pending(self) -> list[Candidate]:
        """The lines that were asked, and wait."""
        return [each for _, _, each in self._due] + self._held

    @property
    def has_new(self) -> bool:
        """Whether a line that was never asked may be begun."""
        return not self._exhausted and len(self._due) + len(self._held) < self._most_pending

    def next_due(self) -> float | None:
        """When there may be something to ask, if not before."""
        times = [self._due[0][0]] if self._due else []
        if self._held and not self.has_new and not self._probing:
            times.append(min(each.due for each in self._held))
        return min(times, default=None)

    def take(self, now: float, idle: bool) -> Candidate | Probe | None:
        """What to ask now, if anything is known; `idle` if nothing is in flight."""
        if self.wants_probe and not self._probing:
            self.wants_probe, self._probing = False, True
            return PROBE
        if self._due and self._due[0][0] <= now:
            return heapq.heappop(self._due)[2]
        while self._may_begin(idle):
            if (line := self._lines.take()) is None:
                return None
            if not self._is_suspect(line.number):
                return Candidate(line)
            self._held.append(Candidate(line, due=now))
        return self._take_held(now)

    async def read(self, idle: bool) -> bool:
        """Read more lines if one may be begun; False if not."""
        if not self._may_begin(idle):
            return False
        self._exhausted = not await self._lines.read()
        return True

    def _may_begin(self, idle: bool) -> bool:
        return self.has_new and (idle or not self._budget.is_full)

    def _take_held(self, now: float) -> Candidate | Probe | None:
        """When nothing else is left: first what this run has not asked yet, then a probe."""
        if self.has_new or self._probing:
            return None
        for at, candidate in enumerate(self._held):
            if candidate.last is None:
                return self._held.pop(at)
        if any(each.due <= now for each in self._held):
            self._probing = True
            return PROBE
        return None

    def ask_again(self, candidate: Candidate, due: float) -> None:
        """The line may be asked from then on."""
        heapq.heappush(self._due, (due, next(self._order), candidate))

    def hold(self, candidate: Candidate, probe_due: float) -> None:
        """The line waits until the upstream is seen to work; a probe may show it from then on."""
        candidate.due = probe_due
        self._held.append(candidate)

    def release(self, proven: Callable[[Candidate], bool]) -> list[Candidate]:
        """Take out what is proven."""
        if not self._held:
            return []
        released = [each for each in self._held if proven(each)]
        if released:
            self._held = [each for each in self._held if not proven(each)]
        return released

    def end_probe(self) -> None:
        """Another probe may be made."""
        self._probing = False
