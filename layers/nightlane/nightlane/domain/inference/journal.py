"""The journal of a run: results gather here and are committed as checkpoints."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from nightlane.domain.batch import Usage
from nightlane.domain.inference.results import Result
from nightlane.domain.metrics import Meter, Metric
from nightlane.domain.parts import write_records
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Checkpoint, DoneLines, Part, Shard

# Above this many unsaved checkpoints' worth of bytes no request is started.
BACKLOG_CHECKPOINTS = 4


class Journal:
    """Unsaved results of one shard, and the shard as it was last saved."""

    def __init__(self, ports: Ports, shard: Shard, lines: int) -> None:
        self.shard = shard
        self.done = DoneLines(lines, shard.done)
        self._ports = ports
        self._unsaved: list[Result] = []
        self._bytes = 0
        self._due = asyncio.Event()
        self._saved = asyncio.Event()
        self._saving = asyncio.Lock()
        self._ended = False

    def add(self, result: Result) -> None:
        """A line is finished; it counts once it is committed."""
        self._unsaved.append(result)
        self._bytes += len(result.record.data)
        if self._bytes >= self._ports.settings.checkpoint_bytes:
            self._due.set()

    async def room(self) -> None:
        """Return once there is room for more results: S3 may be slower than the upstream."""
        while self._bytes >= BACKLOG_CHECKPOINTS * self._ports.settings.checkpoint_bytes:
            self._saved.clear()
            await self._saved.wait()

    async def keep(self, report: Callable[[], None], jitter: Callable[[], float] = random.random) -> None:
        """Commit every `checkpoint_seconds`, and when enough has gathered, until `end`; then report.

        Lanes that begin together would meet at the batch's item each time: the first interval is random.
        """
        interval = self._ports.settings.checkpoint_seconds * (1 - jitter())
        while not self._ended:
            try:
                async with asyncio.timeout(interval):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            if not self._ended:
                await self.save()
                report()
            interval = self._ports.settings.checkpoint_seconds

    async def save(self) -> None:
        """Commit what has gathered, now. One commit at a time."""
        async with self._saving:
            if self._unsaved:
                await self._commit(finished=False)

    def end(self) -> None:
        """Let `keep` return after the commit it is at."""
        self._ended = True
        self._due.set()

    async def close(self, *, finished: bool) -> None:
        """The last commit; `finished` if no line of the shard shall ever run again."""
        if self._unsaved or (finished and not self.shard.finished):
            await self._commit(finished=finished)
        elif not self.shard.finished:
            await asyncio.to_thread(self._ports.batches.release_shard, self.shard)

    async def _commit(self, *, finished: bool) -> None:
        results, self._unsaved, self._bytes = self._unsaved, [], 0
        finished = finished or self.done.count + len(results) == self.done.size
        await asyncio.to_thread(self._save, results, finished)
        self._saved.set()

    def _save(self, results: Sequence[Result], finished: bool) -> None:
        self.shard = save_results(self._ports, self.shard, self.done, results, finished=finished)


def save_results(
    ports: Ports, shard: Shard, done: DoneLines, results: Sequence[Result], *, finished: bool
) -> Shard:
    """Put the part, then commit it. A part that is not committed is never read.

    Raises:
        Fenced: another worker began, or the batch was closed.
    """
    began = time.monotonic()
    for result in results:
        done.add(result.record.line)
    part = None
    if results:
        lines = [result.record.line for result in results]
        key = f"work/{shard.batch_id}/parts/{shard.index:05d}/{shard.epoch:05d}-{shard.commits:05d}.jsonl"
        part = Part(key, min(lines), max(lines))
        ports.blobs.put(key, write_records(result.record for result in results))
    checkpoint = Checkpoint(
        part=part,
        done=bytes(done),
        completed=sum(result.record.ok for result in results),
        failed=sum(not result.record.ok for result in results),
        usage=sum((result.usage for result in results), Usage()),
        model=next((result.model for result in reversed(results) if result.model), None),
        finished=finished,
    )
    saved = ports.batches.commit_checkpoint(shard, checkpoint)
    ports.metrics.add(Metric.CHECKPOINT_TIME, round((time.monotonic() - began) * 1000, 1))
    _count(ports.metrics, checkpoint)
    return saved


def _count(meter: Meter, committed: Checkpoint) -> None:
    meter.add(Metric.LINES_COMPLETED, committed.completed)
    meter.add(Metric.LINES_FAILED, committed.failed)
    if answered := committed.completed + committed.failed:
        meter.add(Metric.LINES_FAILED_SHARE, round(100 * committed.failed / answered, 1))
    meter.add(Metric.PROMPT_TOKENS, committed.usage.input_tokens)
    meter.add(Metric.COMPLETION_TOKENS, committed.usage.output_tokens)
