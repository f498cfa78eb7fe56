"""One run of a lane, over as many shards as time allows: how it is put together and how it ends."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.fair_share import FairShare
from nightlane.domain.inference.feed import Candidate, Feed, Probe
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.lane_lines import LaneLines
from nightlane.domain.inference.lines import unfinished_lines
from nightlane.domain.inference.one_by_one import OneByOne
from nightlane.domain.inference.open_shards import OpenShard, OpenShards
from nightlane.domain.inference.pool import Pool
from nightlane.domain.inference.ports import LeaseView, Upstream
from nightlane.domain.inference.results import unanswered
from nightlane.domain.inference.sender import Sender
from nightlane.domain.inference.shared_limit import SharedLimit
from nightlane.domain.inference.supervisor import Limits, Stop, Supervisor
from nightlane.domain.inference.tools import Tools
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.inference.upkeep import Upkeep
from nightlane.domain.inference.upstream_monitor import UpstreamMonitor
from nightlane.domain.inference.work import Work
from nightlane.domain.lines import LineError
from nightlane.domain.ports import Ports
from nightlane.domain.stores import Fenced, UpstreamState
from nightlane.domain.trouble import Trouble
from nightlane.settings import InferenceSettings

# A request sent this soon after the run started and still in flight at its end is too long for any run.
RUN_START_SECONDS = 10.0


class LaneRun:
    """Runs the unfinished lines of shards. `deadline` is on the monotonic clock."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        upstream: Upstream,
        work: Work,
        lease: LeaseView,
        deadline: float,
        budget: ByteBudget,
        known: UpstreamState,
    ) -> None:
        self._ports, rest = ports, known.rest
        self._work, lane = work, work.lane
        self._started_at = ports.monotonic()
        self._traffic = Traffic(lane.upstream, ports.monotonic)
        self._shards = OpenShards(ports, budget, self._traffic.tally.take)
        self._lines = LaneLines(work.batch.id, self._open_next, self._read)
        self._feed = Feed(self._lines, lane.capacity, budget)
        self._health = Health(probing=rest is not None)
        expires_at, grace = work.batch.expires_at, ports.settings.cancel_grace_seconds
        limits = Limits(expires_at, deadline, grace, work.active_until)
        self._supervisor = Supervisor(limits, lease, ports.now, ports.monotonic)
        self._shared_limit = SharedLimit(ports, lane, known.learned, probing=rest is not None)
        limiter = self._shared_limit.limiter
        self._monitor = UpstreamMonitor(
            ports,
            lane.upstream,
            self._feed,
            limiter,
            self._health,
            self._supervisor,
            served=work.served,
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
        self._share = self._negotiate_with(work.upstream_limit) if work.upstream_limit else None
        self._pool: Pool[Candidate | Probe] = Pool(
            lane.capacity,
            self._feed.take,
            self._feed.read,
            OneByOne(ports, self._sender, self._shards).send if work.one_by_one else self._send,
            throttle=self._share or limiter,
            next_due=self._feed.next_due,
            is_done=lambda: self._feed.is_empty,
            may_start=self._supervisor.may_start,
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
        if self._share is not None:
            self._share.on_more = self._pool.wake
            loops.append(self._share.keep())
        pool = asyncio.create_task(self._pool.run())
        self._supervisor.on_halt = self._pool.wake
        self._supervisor.on_abort = pool.cancel
        tasks = [asyncio.create_task(loop) for loop in loops]
        for task in tasks:
            task.add_done_callback(lambda task: pool.cancel() if _has_failed(task) else None)
        await asyncio.wait([pool])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.gather(self._lines.close(), *([self._share.release()] if self._share else []))
        stop = await self._conclude(pool, *tasks)
        await self._upkeep.end_rest()
        await self._shared_limit.note()
        return stop

    async def _conclude(self, *tasks: "asyncio.Task[None]") -> Stop | None:
        """Commit what is left. Raises the exception of a failed task, so that the message is redelivered."""
        supervisor = self._supervisor
        try:
            for task in tasks:
                if _has_failed(task):
                    # Answers that have already been paid for must not be lost.
                    with suppress(Exception):
                        await self._shards.flush()
                    task.result()
            if supervisor.stop is Stop.OUT_OF_TIME:
                self._blame_unfinished_requests()
            if supervisor.stop is not Stop.REPLACED:
                finished = supervisor.stop is Stop.CANCELLED
                await self._shards.finish(finished=finished, may_retry=lambda: supervisor.may_commit)
        except* Fenced:
            supervisor.stop = Stop.REPLACED
        finally:
            self._upkeep.report()
        is_done = self._feed.is_exhausted and self._shards.all_finished
        return None if is_done and supervisor.stop is not Stop.REPLACED else supervisor.stop

    def _blame_unfinished_requests(self) -> None:
        """Count a failure for each line sent when the run started and still not answered at its end."""
        for candidate, sent_at in self._sender.in_flight.items():
            line, shard = candidate.line.number, candidate.shard
            if sent_at - self._started_at < RUN_START_SECONDS:
                shard.quarantine.on_failed(line)
                shard.quarantine.confirm_failure(line)
                if shard.quarantine.suspicion_of(line).failures >= self._ports.settings.line_attempts:
                    shard.quarantine.forget(line)
                    shard.journal.add(unanswered(candidate.line, LineError.TIMEOUT))

    def _negotiate_with(self, limit: int) -> FairShare:
        batch = self._work.batch
        return FairShare(
            self._ports,
            self._work.lane,
            f"{batch.id}-{self._work.lane_number}",
            batch.expires_at,
            limit,
            self._shared_limit.limiter,
            self._supervisor,
            wanted=self._count_wanted,
            in_flight=lambda: self._pool.in_flight,
        )

    def _count_wanted(self) -> int:
        """Return how many requests could be in flight."""
        if self._supervisor.stop is not None:
            return self._pool.in_flight
        most = self._shared_limit.limiter.limit()
        if not self._feed.is_exhausted:
            return most
        return min(most, self._pool.in_flight + len(self._feed.pending))

    def _open_next(self) -> OpenShard | None:
        if (begun := next(self._work.shards, None)) is None:
            return None
        spec, shard = begun
        return self._shards.open(spec, spec.numbers, shard)

    def _read(self, shard: OpenShard) -> Iterator[tuple[int, bytes]]:
        key = self._work.manifest.input_key
        return unfinished_lines(self._ports.blobs, key, shard.spec, shard.journal.done)

    def _send(self, item: Candidate | Probe) -> Awaitable[None]:
        return self._sender.probe() if isinstance(item, Probe) else self._sender.send(item)


def _has_failed(task: "asyncio.Task[None]") -> bool:
    return not task.cancelled() and task.exception() is not None
