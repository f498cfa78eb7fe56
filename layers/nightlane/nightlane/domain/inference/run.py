"""One run over one shard: how it is put together and how it ends."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from nightlane.domain.batch import Batch
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.feed import Candidate, Feed, Probe
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.journal import Journal
from nightlane.domain.inference.limiter import Limiter
from nightlane.domain.inference.lines import UnfinishedLines
from nightlane.domain.inference.pool import Pool
from nightlane.domain.inference.ports import LeaseView, Upstream
from nightlane.domain.inference.quarantine import Quarantine
from nightlane.domain.inference.results import unanswered
from nightlane.domain.inference.sender import Sender
from nightlane.domain.inference.supervisor import Limits, Stop, Supervisor
from nightlane.domain.inference.tools import Tools
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.inference.upkeep import Upkeep
from nightlane.domain.inference.upstream_monitor import UpstreamMonitor
from nightlane.domain.lines import LineError
from nightlane.domain.ports import Fenced, Ports
from nightlane.domain.shard import Shard, ShardMessage
from nightlane.domain.trouble import Rest, Trouble
from nightlane.settings import InferenceSettings

# Consecutive workers that died before lines are run one by one.
STRIKES_BEFORE_ONE_BY_ONE = 4
# Attempts on the line found to crash them.
MAX_SUSPECT_ATTEMPTS = 3
# A request sent this soon after the run started and still in flight at its end is too long for any run.
RUN_START_SECONDS = 10.0


class ShardRun:
    """Runs the unfinished lines of a shard. `deadline` is on the monotonic clock."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        upstream: Upstream,
        batch: Batch,
        message: ShardMessage,
        shard: Shard,
        lease: LeaseView,
        deadline: float,
        budget: ByteBudget,
        rest: Rest | None,
    ) -> None:
        self._ports = ports
        self._batch = batch
        self._started_at = ports.monotonic()
        one_by_one = shard.strikes >= STRIKES_BEFORE_ONE_BY_ONE or shard.suspect is not None
        slots = 1 if one_by_one else message.capacity
        self._quarantine = Quarantine(shard.suspicions)
        self.journal = Journal(ports, shard, message.shard.lines, budget, self._quarantine.remembered)
        budget.on_pressure = self.journal.is_due.set
        lines = UnfinishedLines(ports.blobs, message, self.journal.done)
        self._feed = Feed(lines, self._quarantine.is_suspect, slots, budget)
        self._health = Health(probing=rest is not None)
        limits = Limits(batch.expires_at, deadline, ports.settings.cancel_grace_seconds)
        self.supervisor = Supervisor(limits, lease, ports.now, ports.monotonic)
        self._limiter = Limiter(slots, probing=rest is not None)
        self._traffic = Traffic(ports.settings.upstream_url, ports.monotonic)
        self._monitor = UpstreamMonitor(
            ports, self._feed, self._limiter, self._health, self.supervisor, served=batch.completed > 0
        )
        tools = Tools(
            self._feed,
            self._monitor,
            self._health,
            self._quarantine,
            self.supervisor,
            self._traffic,
            budget,
        )
        path = batch.request.endpoint.removeprefix("/v1")
        self._sender = Sender(ports, upstream, path, tools, self.journal.add)
        self._upkeep = Upkeep(ports, batch, self.journal, self._health, self.supervisor, self._traffic, rest)
        self._pool: Pool[Candidate | Probe] = Pool(
            slots,
            self._feed.take,
            self._feed.read,
            self._work_one_by_one if one_by_one else self._work,
            throttle=self._limiter,
            next_due=self._feed.next_due,
            is_done=lambda: self._feed.is_empty,
            may_start=self.supervisor.may_start,
        )

    @property
    def trouble(self) -> Trouble | None:
        """How the upstream last refused or failed; None if it has answered since."""
        return self._health.trouble

    @property
    def retry_after(self) -> float | None:
        """How long the upstream asked its clients to wait, if that is longer than a worker should."""
        return self._monitor.retry_after

    async def run(self) -> Stop | None:
        """Run the lines and return why the run stopped; None if every line of the shard is finished."""
        pool = asyncio.create_task(self._pool.run())
        self.supervisor.on_halt = self._pool.wake
        self.supervisor.on_abort = lambda: _cancel(pool)
        loops = [asyncio.create_task(each) for each in (self.supervisor.watch(), *self._upkeep.loops())]
        for loop in loops:
            loop.add_done_callback(lambda task: pool.cancel() if _has_failed(task) else None)
        await asyncio.wait([pool])
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)
        stop = await self._conclude(pool, *loops)
        await self._upkeep.end_rest()
        return stop

    async def _conclude(self, *tasks: "asyncio.Task[None]") -> Stop | None:
        """Commit what is left. Raises the exception of a failed task, so that the message is redelivered."""
        supervisor = self.supervisor
        try:
            for task in tasks:
                if _has_failed(task):
                    # Answers that have already been paid for must not be lost.
                    with suppress(Exception):
                        await self.journal.flush()
                    task.result()
            if supervisor.stop is Stop.OUT_OF_TIME:
                self._blame_unfinished_requests()
            if supervisor.stop is not Stop.REPLACED:
                finished = supervisor.stop is Stop.CANCELLED
                await self.journal.finish(finished=finished, may_retry=lambda: supervisor.may_commit)
        except* Fenced:
            supervisor.stop = Stop.REPLACED
        finally:
            self._upkeep.report()
        return (
            None if self.journal.shard.finished and supervisor.stop is not Stop.REPLACED else supervisor.stop
        )

    def _blame_unfinished_requests(self) -> None:
        """Count a failure for each line sent when the run started and still not answered at its end."""
        for candidate, sent_at in self._sender.in_flight.items():
            line = candidate.line.number
            if sent_at - self._started_at < RUN_START_SECONDS:
                self._quarantine.on_failed(line)
                self._quarantine.confirm_failure(line)
                if self._quarantine.suspicion_of(line).failures >= self._ports.settings.line_attempts:
                    self._quarantine.forget(line)
                    self.journal.add(unanswered(candidate.line, LineError.TIMEOUT))

    def _work(self, item: Candidate | Probe) -> Awaitable[None]:
        return self._sender.probe() if isinstance(item, Probe) else self._sender.send(item)

    async def _work_one_by_one(self, item: Candidate | Probe) -> None:
        await (self._sender.probe() if isinstance(item, Probe) else self._send_suspect(item))
        # A committed line is no longer suspected: the first uncommitted one is the line that crashes workers.
        await self.journal.flush()

    async def _send_suspect(self, candidate: Candidate) -> None:
        """Record the line in the shard, then send it: the next worker will know if it crashed this one."""
        shard, line = self.journal.shard, candidate.line.number
        strikes = shard.suspect_strikes if shard.suspect == line else 0
        if strikes >= MAX_SUSPECT_ATTEMPTS:
            self.journal.add(unanswered(candidate.line, LineError.CRASHED_ITS_WORKER))
            return
        self.journal.shard = await asyncio.to_thread(self._ports.batches.mark_suspect, shard, line)
        await self._sender.send(candidate)
        # The worker survived, so a retry of the line is not another strike.
        self.journal.shard = replace(self.journal.shard, suspect=line, suspect_strikes=strikes)


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


def _has_failed(task: "asyncio.Task[None]") -> bool:
    return not task.cancelled() and task.exception() is not None
