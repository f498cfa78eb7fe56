"""The shards that a run has begun and not finished: usually one, two while it goes from one to the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.journal import Journal
from nightlane.domain.inference.quarantine import Quarantine
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Shard, ShardSpec
from nightlane.domain.stores import Fenced
from nightlane.domain.tally import NO_TALLY, Take
from nightlane.settings import InferenceSettings


@dataclass(frozen=True, slots=True, eq=False)
class OpenShard:
    """A shard that is being run."""

    spec: ShardSpec
    numbers: Sequence[int]
    """The numbers of its lines in the batch, as they are sent."""
    journal: Journal
    quarantine: Quarantine


class OpenShards:
    """Commits the results of several shards. `open` may be called on another thread."""

    def __init__(
        self, ports: Ports[InferenceSettings], budget: ByteBudget, take_tally: Take = lambda: NO_TALLY
    ) -> None:
        self.is_due = asyncio.Event()
        """Set when there is enough for a checkpoint."""
        self._ports = ports
        self._budget = budget
        self._take_tally = take_tally
        self._open: list[OpenShard] = []
        budget.on_pressure = self.is_due.set

    def open(self, spec: ShardSpec, numbers: Sequence[int], shard: Shard) -> OpenShard:
        """Add a shard that has just begun."""
        quarantine = Quarantine(shard.suspicions)
        journal = Journal(
            self._ports,
            shard,
            spec.lines,
            self._budget,
            quarantine.remembered,
            self.is_due.set,
            self._take_tally,
        )
        opened = OpenShard(spec, numbers, journal, quarantine)
        self._open.append(opened)
        return opened

    @property
    def all_finished(self) -> bool:
        """Whether no line of an open shard is left to run or to commit."""
        return all(each.journal.shard.finished for each in self._open)

    async def flush(self) -> None:
        """Commit what has been added so far; a failed commit does not stop the others. Raises as `flush`."""
        self.is_due.clear()
        await self._each(lambda each: each.journal.flush())
        self._open = [each for each in self._open if not each.journal.shard.finished]

    async def finish(self, *, finished: bool, may_retry: Callable[[], bool]) -> None:
        """Make the last commit of each shard. Raises as `Journal.finish`."""
        await self._each(lambda each: each.journal.finish(finished=finished, may_retry=may_retry))

    async def _each(self, commit: Callable[[OpenShard], Awaitable[None]]) -> None:
        failure: Exception | None = None
        for each in list(self._open):
            try:
                await commit(each)
            except Exception as error:
                failure = failure if isinstance(failure, Fenced) else error
        if failure is not None:
            raise failure
