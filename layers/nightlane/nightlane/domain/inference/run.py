"""One run over one shard: who stops it, and what is left when it stops."""

import asyncio
import time
from enum import Enum, auto

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.inference.journal import Journal
from nightlane.domain.inference.lines import Line, UnfinishedLines
from nightlane.domain.inference.pool import run_pool
from nightlane.domain.inference.ports import Answer, LeaseView, Unreachable, Upstream
from nightlane.domain.inference.results import Result, result_of, unanswered
from nightlane.domain.inference.retries import is_retryable, pause_before
from nightlane.domain.inference.traffic import MeteredUpstream
from nightlane.domain.lines import LineError
from nightlane.domain.ports import Fenced, Ports
from nightlane.domain.shard import Shard, ShardMessage

TICK_SECONDS = 0.2
# Before the function's timeout: no new requests, then no requests at all, so that the commit fits.
WIND_DOWN_SECONDS = 60.0
LAST_COMMIT_SECONDS = 15.0
# No new requests either when the slowest so far, and half as long again, would not fit.
SLOWEST_FACTOR = 1.5
# This many refusals in a row, with no answer between, mean that the upstream is down.
REFUSALS_A_SLOT = 3
# A line that fails this often while so many others are answered is a suspect. If it fails again after yet
# another was answered, it is at fault itself, and no outage. When only suspects are left, nobody can tell.
TRIES_WHILE_OTHERS_SUCCEED = 5
OTHERS_THAT_SUCCEED = 20
# Workers that died in a row before lines are run one by one, and tries of the line found then.
STRIKES_BEFORE_CARE = 4
TRIES_OF_A_SUSPECT = 3


class Stop(Enum):
    """Why a run stopped before its lines were all finished."""

    CANCELLED = auto()
    EXPIRED = auto()
    OUT_OF_TIME = auto()
    UPSTREAM_DOWN = auto()
    REPLACED = auto()
    """The lease or the epoch is another worker's now, or the batch is closed."""


class ShardRun:
    """Runs the unfinished lines of a shard. `deadline` is on the monotonic clock."""

    def __init__(
        self,
        ports: Ports,
        upstream: Upstream,
        batch: Batch,
        message: ShardMessage,
        shard: Shard,
        lease: LeaseView,
        deadline: float,
    ) -> None:
        self._ports = ports
        self._upstream = MeteredUpstream(upstream)
        self._batch = batch
        self._lease = lease
        self._deadline = deadline
        self._careful = shard.strikes >= STRIKES_BEFORE_CARE or shard.suspect is not None
        self._capacity = 1 if self._careful else message.capacity
        self._journal = Journal(ports, shard, message.shard.lines)
        self._lines = UnfinishedLines(ports.blobs, message, self._journal.done)
        self._path = batch.request.endpoint.removeprefix("/v1")
        self._refusals = 0
        self._answered = 0
        self._asking: set[int] = set()
        self._suspects: set[int] = set()
        self._slowest = 0.0
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()

    def cancel(self) -> None:
        """Run no line, but end the shard in good order."""
        self._halt(Stop.CANCELLED)

    async def run(self) -> Stop | None:
        """Why it stopped; None if every line of the shard is finished."""
        work = run_pool(self._take, self._capacity, self._work, self._may_start)
        pool = asyncio.create_task(work)
        watch = asyncio.create_task(self._watch(pool))
        keeper = asyncio.create_task(self._journal.keep(self._report))
        for helper in (watch, keeper):
            helper.add_done_callback(lambda task: pool.cancel() if _failed(task) else None)
        await asyncio.wait([pool])
        watch.cancel()
        self._journal.end()
        await asyncio.wait([watch, keeper])
        return await self._conclude(pool, watch, keeper)

    async def _conclude(self, *tasks: "asyncio.Task[None]") -> Stop | None:
        """Commit what is left. A task's failure is the run's: the message will come again."""
        try:
            for task in tasks:
                if not task.cancelled():
                    task.result()
            if self._stop is not Stop.REPLACED:
                await self._journal.close(finished=self._stop is Stop.CANCELLED)
        except* Fenced:
            self._stop = Stop.REPLACED
        finally:
            self._report()
        return None if self._journal.shard.finished and self._stop is not Stop.REPLACED else self._stop

    def _report(self) -> None:
        """A run may last a quarter of an hour: what it measured is not kept back till then."""
        self._upstream.report(self._ports.metrics)
        self._ports.metrics.publish()

    def _may_start(self) -> bool:
        # A process that was frozen wakes up before its watch does.
        if not self._lease.is_held:
            self._halt(Stop.REPLACED)
        elif self._ports.now() >= self._batch.expires_at:
            self._halt(Stop.EXPIRED)
        return self._stop is None

    async def _take(self) -> Line | None:
        await self._journal.room()
        return await self._lines.take()

    async def _work(self, line: Line) -> None:
        if self._careful and await self._is_condemned(line):
            error = LineError.KILLED_ITS_WORKER
            self._journal.add(unanswered(line.number, line.result_id, line.request.custom_id, error))
            await self._journal.save()
            return
        if (result := await self._ask(line)) is not None:
            self._journal.add(result)
        if self._careful:
            # What is saved is beyond suspicion: the first line not saved is the one that kills.
            await self._journal.save()

    async def _is_condemned(self, line: Line) -> bool:
        shard = self._journal.shard
        if shard.suspect == line.number and shard.suspect_strikes >= TRIES_OF_A_SUSPECT:
            return True
        self._journal.shard = await asyncio.to_thread(self._ports.batches.mark_suspect, shard, line.number)
        return False

    async def _ask(self, line: Line) -> Result | None:
        """The result, after as many tries as it takes; None if the run stopped before."""
        tries, answered_before, suspect_since = 0, self._answered, None
        self._asking.add(line.number)
        try:
            while True:
                answer = await self._try(bytes(line.request.body))
                if answer is not None and not is_retryable(answer.status):
                    self._refusals, self._answered = 0, self._answered + 1
                    return result_of(line.number, line.result_id, line.request.custom_id, answer)
                tries += 1
                self._refusals += 1
                if self._refusals >= REFUSALS_A_SLOT * self._capacity:
                    self._halt(Stop.UPSTREAM_DOWN)
                others = self._answered - answered_before
                if suspect_since is not None and self._answered > suspect_since:
                    return _given_up(line, answer)
                if tries >= TRIES_WHILE_OTHERS_SUCCEED and others >= OTHERS_THAT_SUCCEED:
                    suspect_since = self._answered
                    self._suspects.add(line.number)
                    if self._suspects == self._asking and self._stop is None:
                        return _given_up(line, answer)
                if not await self._pause(pause_before(tries - 1, answer.retry_after if answer else None)):
                    return None
        finally:
            self._asking.discard(line.number)
            self._suspects.discard(line.number)

    async def _try(self, body: bytes) -> Answer | None:
        began = time.monotonic()
        try:
            answer = await self._upstream.post(self._path, body)
        except Unreachable:
            return None
        self._slowest = max(self._slowest, time.monotonic() - began)
        return answer

    async def _pause(self, seconds: float) -> bool:
        """Wait; False if the run stopped meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return True
        return False

    def _halt(self, reason: Stop) -> None:
        """Start no request any more; those in flight may end."""
        if self._stop is None:
            self._stop = reason
            self._stopped.set()

    async def _watch(self, pool: "asyncio.Task[None]") -> None:
        look_at = time.monotonic() + self._ports.settings.watch_seconds
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if not self._lease.is_held:
                self._abort(pool, Stop.REPLACED)
            elif self._ports.now() >= self._batch.expires_at:
                self._abort(pool, Stop.EXPIRED)
            elif now >= self._deadline - LAST_COMMIT_SECONDS:
                self._abort(pool, Stop.OUT_OF_TIME)
            elif now >= self._deadline - max(WIND_DOWN_SECONDS, SLOWEST_FACTOR * self._slowest):
                self._halt(Stop.OUT_OF_TIME)
            elif now >= look_at:
                look_at = now + self._ports.settings.watch_seconds
                await self._look_at_batch(pool)

    def _abort(self, pool: "asyncio.Task[None]", reason: Stop) -> None:
        """Give up the requests in flight, too."""
        self._stop = None if reason is Stop.REPLACED else self._stop
        self._halt(reason)
        pool.cancel()

    async def _look_at_batch(self, pool: "asyncio.Task[None]") -> None:
        batch = await asyncio.to_thread(self._ports.batches.get_batch, self._batch.id)
        if batch is None or not batch.is_open:
            self._abort(pool, Stop.REPLACED)
        elif batch.status is BatchStatus.CANCELLING:
            self._halt(Stop.CANCELLED)
            drained_by = (batch.cancelling_at or 0) + self._ports.settings.cancel_grace_seconds
            if self._ports.now() >= drained_by - LAST_COMMIT_SECONDS:
                self._abort(pool, Stop.CANCELLED)


def _given_up(line: Line, answer: Answer | None) -> Result:
    if answer is None:
        return unanswered(line.number, line.result_id, line.request.custom_id, LineError.TIMEOUT)
    return result_of(line.number, line.result_id, line.request.custom_id, answer)


def _failed(task: "asyncio.Task[None]") -> bool:
    return not task.cancelled() and task.exception() is not None
