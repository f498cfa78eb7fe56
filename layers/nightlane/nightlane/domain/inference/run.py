"""One run over one shard: what it is made of, and how it ends."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from nightlane.domain.batch import Batch
from nightlane.domain.inference.asker import Asker, Tools
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
from nightlane.domain.inference.standing import Standing
from nightlane.domain.inference.supervisor import Limits, Stop, Supervisor
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.inference.upkeep import Upkeep
from nightlane.domain.lines import LineError
from nightlane.domain.ports import Fenced, Ports
from nightlane.domain.shard import Shard, ShardMessage
from nightlane.domain.trouble import Rest, Trouble
from nightlane.settings import InferenceSettings

# Workers that died in a row before lines are run one by one, and tries of the line found then.
STRIKES_BEFORE_CARE = 4
TRIES_OF_A_SUSPECT = 3
# What began within this time of the run's begin, and is in flight at its end, does not fit into any run.
WHOLE_RUN_SECONDS = 10.0


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
        self._began = ports.monotonic()
        self._careful = shard.strikes >= STRIKES_BEFORE_CARE or shard.suspect is not None
        slots = 1 if self._careful else message.capacity
        self._quarantine = Quarantine(shard.suspicions)
        self.journal = Journal(ports, shard, message.shard.lines, budget, self._quarantine.remembered)
        budget.on_pressure = self.journal.is_due.set
        lines = UnfinishedLines(ports.blobs, message, self.journal.done)
        self._feed = Feed(lines, self._quarantine.has_failed, slots, budget)
        self._health = Health(probing=rest is not None)
        limits = Limits(batch.expires_at, deadline, ports.settings.cancel_grace_seconds)
        self.supervisor = Supervisor(limits, lease, ports.now, ports.monotonic)
        self._limiter = Limiter(slots, probing=rest is not None)
        self._traffic = Traffic(ports.settings.upstream_url, ports.monotonic)
        self._standing = Standing(
            ports, self._feed, self._limiter, self._health, self.supervisor, served=batch.completed > 0
        )
        tools = Tools(
            self._feed,
            self._standing,
            self._health,
            self._quarantine,
            self.supervisor,
            self._traffic,
            budget,
        )
        path = batch.request.endpoint.removeprefix("/v1")
        self._asker = Asker(ports, upstream, path, tools, self.journal.add)
        self._upkeep = Upkeep(ports, batch, self.journal, self._health, self.supervisor, self._traffic, rest)
        self._pool: Pool[Candidate | Probe] = Pool(
            slots,
            self._feed.take,
            self._feed.read,
            self._work_carefully if self._careful else self._work,
            room=self._limiter,
            next_due=self._feed.next_due,
            is_done=lambda: self._feed.is_empty,
            may_start=self.supervisor.may_start,
        )

    @property
    def trouble(self) -> Trouble | None:
        """How the upstream refused or failed last, if it answered nothing since."""
        return self._health.trouble

    @property
    def retry_after(self) -> float | None:
        """How long the upstream asked everybody to stay away."""
        return self._standing.retry_after

    async def run(self) -> Stop | None:
        """Why it stopped; None if every line of the shard is finished."""
        pool = asyncio.create_task(self._pool.run())
        self.supervisor.on_halt = self._pool.wake
        self.supervisor.on_abort = lambda: _cancel(pool)
        helpers = [asyncio.create_task(each) for each in (self.supervisor.watch(), *self._upkeep.loops())]
        for helper in helpers:
            helper.add_done_callback(lambda task: pool.cancel() if _failed(task) else None)
        await asyncio.wait([pool])
        for helper in helpers:
            helper.cancel()
        await asyncio.wait(helpers)
        stop = await self._conclude(pool, *helpers)
        await self._upkeep.end_rest()
        return stop

    async def _conclude(self, *tasks: "asyncio.Task[None]") -> Stop | None:
        """Commit what is left. A task's failure is the run's: the message will come again."""
        supervisor = self.supervisor
        try:
            for task in tasks:
                if _failed(task):
                    # The message comes again, but what was answered shall not be asked again.
                    with suppress(Exception):
                        await self.journal.flush()
                    task.result()
            if supervisor.stop is Stop.OUT_OF_TIME:
                self._hold_against_what_was_cut()
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

    def _hold_against_what_was_cut(self) -> None:
        """A line that was asked when the run began, and not answered until its end, fits into no run."""
        for candidate, since in self._asker.in_flight.items():
            line = candidate.line.number
            if since - self._began < WHOLE_RUN_SECONDS:
                self._quarantine.on_failed(line)
                self._quarantine.prove(line)
                if self._quarantine.of(line).failures >= self._ports.settings.line_attempts:
                    self._quarantine.forget(line)
                    self.journal.add(unanswered(candidate.line, LineError.TIMEOUT))

    def _work(self, item: Candidate | Probe) -> Awaitable[None]:
        return self._asker.probe() if isinstance(item, Probe) else self._asker.ask(item)

    async def _work_carefully(self, item: Candidate | Probe) -> None:
        await (self._asker.probe() if isinstance(item, Probe) else self._ask_carefully(item))
        await self.journal.flush()

    async def _ask_carefully(self, candidate: Candidate) -> None:
        """What is committed is beyond suspicion: the first line not committed is the one that kills."""
        shard, line = self.journal.shard, candidate.line.number
        strikes = shard.suspect_strikes if shard.suspect == line else 0
        if strikes >= TRIES_OF_A_SUSPECT:
            self.journal.add(unanswered(candidate.line, LineError.KILLED_ITS_WORKER))
            return
        self.journal.shard = await asyncio.to_thread(self._ports.batches.mark_suspect, shard, line)
        await self._asker.ask(candidate)
        # The worker lives: if the line is asked again, that is no further strike.
        self.journal.shard = replace(self.journal.shard, suspect=line, suspect_strikes=strikes)


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


def _failed(task: "asyncio.Task[None]") -> bool:
    return not task.cancelled() and task.exception() is not None
