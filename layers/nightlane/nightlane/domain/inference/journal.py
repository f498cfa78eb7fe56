"""The journal of a run: collects results until they are committed as checkpoints."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from nightlane.domain.batch import NO_USAGE
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.results import Result
from nightlane.domain.metrics import Meter, Metric
from nightlane.domain.parts import write_records
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Checkpoint, DoneLines, Part, Sample, Shard, Suspicion, part_key
from nightlane.domain.stores import Fenced
from nightlane.domain.tally import NO_TALLY, Take, Tally
from nightlane.settings import InferenceSettings

FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0


class Journal:
    """The uncommitted results of one shard, and the shard as it was last committed.

    `on_due` is called when there is enough for a checkpoint.

    `flush` and `finish` may be called and cancelled at any time. Only one commit runs at a time and it always
    runs to its end; the results of a failed commit stay here and are committed again unchanged.
    """

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        shard: Shard,
        lines: int,
        budget: ByteBudget | None = None,
        suspicions: Callable[[], Mapping[int, Suspicion]] = dict,
        on_due: Callable[[], None] = lambda: None,
        take_tally: Take = lambda: NO_TALLY,
    ) -> None:
        self.shard = shard
        self.done = DoneLines(lines, shard.done)
        self._ports = ports
        self._budget = budget or ByteBudget(ports.settings.checkpoint_bytes)
        self._suspicions = suspicions
        self._on_due = on_due
        self._take_tally = take_tally
        self._pending: list[Result] = []
        self._pending_bytes = 0
        self._committing: list[Result] = []
        self._tally, self._at = NO_TALLY, 0
        """Of the results in `_committing`, and when they were first to be committed."""
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, result: Result) -> None:
        """Add the result of a finished line. It counts once it is committed."""
        self._pending.append(result)
        self._pending_bytes += len(result.record.data)
        self._budget.keep(len(result.record.data))
        if self._pending_bytes >= self._ports.settings.checkpoint_bytes or self._budget.is_full:
            self._on_due()

    async def flush(self) -> None:
        """Commit what has been added so far.

        Raises:
            Fenced: another worker began, or the batch was closed.
            Exception: whatever the stores raise; the results stay in the journal.
        """
        await self._commit_to_the_end(finished=False)

    async def finish(self, *, finished: bool, may_retry: Callable[[], bool] = lambda: False) -> None:
        """Make the last commit; `finished` if no line of the shard should run again.

        A failed commit is retried while `may_retry` returns True. Raises as `flush` does.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._commit_to_the_end(finished=finished)
                break
            except Fenced:
                raise
            except Exception:
                if not may_retry():
                    raise
            await asyncio.sleep(pause)
            pause = min(MAX_PAUSE_SECONDS, 2 * pause)
        if not self.shard.finished:
            await asyncio.to_thread(self._ports.batches.release_shard, self.shard, self._suspicions())

    async def _commit_to_the_end(self, *, finished: bool) -> None:
        task = asyncio.create_task(self._commit_all(finished=finished))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _commit_all(self, *, finished: bool) -> None:
        async with self._lock:
            if self._committing:
                await self._commit(finished=False)
            self._committing, self._pending, self._pending_bytes = self._pending, [], 0
            if self._committing or (finished and not self.shard.finished):
                self._tally, self._at = self._take_tally(), int(self._ports.now())
                await self._commit(finished=finished)

    async def _commit(self, *, finished: bool) -> None:
        """Commit `_committing`. A repeat must be byte-identical: the first try may have taken effect."""
        results, suspicions = self._committing, self._suspicions()
        finished = finished or self.done.count + len(results) == self.done.size
        self.shard = await asyncio.to_thread(
            save_results,
            self._ports,
            self.shard,
            self.done,
            results,
            finished=finished,
            suspicions=suspicions,
            tally=self._tally,
            at=self._at,
        )
        self._committing = []
        for result in results:
            self.done.add(result.record.line)
        self._budget.drop(sum(len(result.record.data) for result in results))


def save_results(
    ports: Ports,
    shard: Shard,
    done: DoneLines,
    results: Sequence[Result],
    *,
    finished: bool,
    suspicions: Mapping[int, Suspicion] | None = None,
    tally: Tally = NO_TALLY,
    at: int | None = None,
) -> Shard:
    """Write the part, then commit it; `done` holds the lines finished before, and `at` is by default now.

    A part that is not committed is never read.

    Raises:
        Fenced: another worker began, or the batch was closed.
    """
    started_at = ports.monotonic()
    lines = [result.record.line for result in results]
    completed = sum(result.record.ok for result in results)
    failed = len(results) - completed
    part, tally = None, tally + Tally(checkpoints=1)
    if results:
        seconds = round(tally.worker_ms / 1_000)
        at = int(ports.now()) if at is None else at
        sample = Sample(at, seconds, completed, failed, tally.answers, tally.answer_ms)
        part = Part(part_key(shard), min(lines), max(lines), sample)
        records = write_records(result.record for result in results)
        ports.blobs.put(part.key, records)
        tally += Tally(output_bytes=len(records))
    done_after = DoneLines(done.size, bytes(done))
    for line in lines:
        done_after.add(line)
    checkpoint = Checkpoint(
        part=part,
        done=bytes(done_after),
        completed=completed,
        failed=failed,
        usage=sum((result.usage for result in results), NO_USAGE),
        model=next((result.model for result in reversed(results) if result.model), None),
        finished=finished,
        suspicions=suspicions or {},
        tally=tally,
    )
    saved = ports.batches.commit_checkpoint(shard, checkpoint)
    ports.metrics.add(Metric.CHECKPOINT_TIME, round((ports.monotonic() - started_at) * 1000, 1))
    _count(ports.metrics, checkpoint)
    return saved


def _count(meter: Meter, committed: Checkpoint) -> None:
    meter.add(Metric.LINES_COMPLETED, committed.completed)
    meter.add(Metric.LINES_FAILED, committed.failed)
    if answered := committed.completed + committed.failed:
        meter.add(Metric.LINES_FAILED_SHARE, round(100 * committed.failed / answered, 1))
    meter.add(Metric.PROMPT_TOKENS, committed.usage.input_tokens)
    meter.add(Metric.COMPLETION_TOKENS, committed.usage.output_tokens)
