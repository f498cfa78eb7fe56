"""One run of a lane, over as many shards as time allows: how it is put together and how it ends."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.delivery import Delivery
from nightlane.domain.inference.fair_share import FairShare
from nightlane.domain.inference.feed import Candidate, Feed, Probe
from nightlane.domain.inference.handover import Handover
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.lane_source import lines_of
from nightlane.domain.inference.one_by_one import OneByOne
from nightlane.domain.inference.open_shards import OpenShards
from nightlane.domain.inference.overdue import blame_overdue
from nightlane.domain.inference.pool import Pool
from nightlane.domain.inference.ports import Upstream
from nightlane.domain.inference.predecessors import Predecessors, Remainder
from nightlane.domain.inference.sender import Sender
from nightlane.domain.inference.shared_limit import SharedLimit
from nightlane.domain.inference.supervisor import Limits, Stop, Supervisor
from nightlane.domain.inference.tools import Tools
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.inference.upkeep import Upkeep
from nightlane.domain.inference.upstream_monitor import UpstreamMonitor
from nightlane.domain.inference.work import Work
from nightlane.domain.ports import Ports
from nightlane.domain.stores import Fenced, UpstreamState
from nightlane.domain.trouble import Trouble
from nightlane.settings import InferenceSettings


class LaneRun:
    """Runs the unfinished lines of shards."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        upstream: Upstream,
        work: Work,
        delivery: Delivery,
        budget: ByteBudget,
        known: UpstreamState,
        predecessors: Predecessors,
    ) -> None:
        self._ports, rest = ports, known.rest
        self._work, lane = work, work.lane
        self._started_at = ports.monotonic()
        self._traffic = Traffic(lane.upstream, ports.monotonic)
        self._shards = OpenShards(ports, budget, self._traffic.tally.take)
        self._lines = lines_of(ports, work, self._shards)
        self._feed = Feed(self._lines, lane.capacity, budget)
        self._health = Health(probing=rest is not None)
        expires_at, grace = work.batch.expires_at, ports.settings.cancel_grace_seconds
        limits = Limits(expires_at, delivery.deadline, grace, work.active_until)
        self._supervisor = Supervisor(limits, delivery.lease, ports.now, ports.monotonic)
        self._shared_limit = SharedLimit(ports, lane, known.learned, probing=rest is not None)
        limiter = self._shared_limit.limiter
        self._predecessors = predecessors
        self._remainder = Remainder(limiter, predecessors)
        self._monitor = UpstreamMonitor(
            ports, lane.upstream, self._feed, limiter, self._health, self._supervisor, served=work.served
        )
        tools = Tools(self._feed, self._monitor, self._health, self._supervisor, self._traffic, budget)
        self._sender = Sender(ports, upstream, work.batch.request.endpoint.removeprefix("/v1"), tools)
        self._upkeep = Upkeep(
            ports,
            work.batch,
            lane.upstream,
            self._shards,
            self._health,
            self._supervisor,
            self._traffic,
            self._shared_limit,
            rest,
        )
        self._share = self._negotiate() if work.upstream_limit else None
        self._pool: Pool[Candidate | Probe] = Pool(
            lane.capacity,
            self._feed.take,
            self._feed.read,
            OneByOne(ports, self._sender, self._shards).send if work.one_by_one else self._send,
            throttle=self._share or self._remainder,
            next_due=self._feed.next_due,
            is_done=lambda: self._feed.is_empty,
            may_start=self._supervisor.may_start,
        )
        self._handover = Handover(
            ports,
            work,
            delivery,
            self._supervisor,
            prepare=self._prepare_handover,
            in_flight=lambda: self._pool.in_flight,
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
        """Run the lines and return why the run stopped; None if no line is left."""
        loops = [self._supervisor.watch(), *self._upkeep.loops()]
        if self._predecessors.are_draining:
            self._feed.more_later = lambda: self._predecessors.are_draining
            self._predecessors.on_less = self._pool.wake
            self._predecessors.on_end = self._take_over
            loops.append(self._predecessors.watch())
        if self._share is not None:
            self._share.on_more = self._pool.wake
            loops.append(self._share.keep())
        self._handover.start()
        pool = asyncio.create_task(self._pool.run())
        self._supervisor.on_halt = self._on_halt
        self._supervisor.on_abort = pool.cancel
        tasks = [asyncio.create_task(loop) for loop in loops]
        for task in tasks:
            task.add_done_callback(lambda task: pool.cancel() if _has_failed(task) else None)
        await asyncio.wait([pool])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._handover.settle()
        await asyncio.gather(self._lines.close(), *([self._share.release()] if self._share else []))
        try:
            stop = await self._conclude(pool, *tasks)
        finally:
            await self._handover.end()
        await self._upkeep.end_rest()
        await self._shared_limit.note()
        await self._upkeep.use_report.store()
        return Stop.HANDED_OVER if self._handover.has_begun else stop

    def _on_halt(self) -> None:
        self._pool.wake()
        self._handover.halted.set()

    async def _prepare_handover(self) -> bool:
        await self._lines.close()
        await self._shared_limit.note()
        return self._share is None or await self._share.step_aside()

    def _take_over(self) -> None:
        """The predecessors have ended, so their shards may be begun."""
        self._lines.look_again()
        self._pool.wake()

    async def _conclude(self, *tasks: "asyncio.Task[None]") -> Stop | None:
        """Commit what is left. Raises the exception of a failed task, so that the message is redelivered."""
        supervisor, ports = self._supervisor, self._ports
        try:
            for task in tasks:
                if _has_failed(task):
                    # Answers that have already been paid for must not be lost.
                    with suppress(Exception):
                        await self._shards.flush()
                    task.result()
            if supervisor.stop is Stop.OUT_OF_TIME:
                blame_overdue(self._sender.in_flight, self._started_at, ports.settings.line_attempts)
            if supervisor.stop is not Stop.REPLACED:
                finished = supervisor.stop is Stop.CANCELLED
                await self._shards.finish(finished=finished, may_retry=lambda: supervisor.may_commit)
        except* Fenced:
            supervisor.stop = Stop.REPLACED
        finally:
            self._upkeep.report()
        is_done = self._feed.is_exhausted and self._shards.all_finished
        return None if is_done and supervisor.stop is not Stop.REPLACED else supervisor.stop

    def _negotiate(self) -> FairShare:
        return FairShare(
            self._ports,
            self._work,
            self._remainder,
            self._supervisor,
            wanted=self._count_wanted,
            in_flight=lambda: self._pool.in_flight,
        )

    def _count_wanted(self) -> int:
        """Return how many requests could be in flight."""
        if self._supervisor.stop is not None:
            return self._pool.in_flight
        most = self._remainder.limit()
        if not self._feed.is_exhausted:
            return most
        return min(most, self._pool.in_flight + len(self._feed.pending))

    def _send(self, item: Candidate | Probe) -> Awaitable[None]:
        return self._sender.probe() if isinstance(item, Probe) else self._sender.send(item)


def _has_failed(task: "asyncio.Task[None]") -> bool:
    return not task.cancelled() and task.exception() is not None
