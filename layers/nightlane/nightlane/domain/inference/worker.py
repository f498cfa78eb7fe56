"""Processes one message to `infer`."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.closing import close_if_due
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.delivery import DONE, Delivery, Ending, Verdict
from nightlane.domain.inference.lane_shards import Begun, LaneShards
from nightlane.domain.inference.ports import Connect, Upstream
from nightlane.domain.inference.predecessors import Predecessors
from nightlane.domain.inference.rests import agree_on_rest
from nightlane.domain.inference.run import LaneRun
from nightlane.domain.inference.supervisor import Stop
from nightlane.domain.inference.work import Work
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Lane, Manifest
from nightlane.domain.stores import Fenced, UpstreamState
from nightlane.domain.trouble import MAX_REST_SECONDS
from nightlane.settings import InferenceSettings

# A longer rest, or one of a message that was received often, is ended by the sweeper: a message can be
# received at most 1,000 times, and each rest by visibility costs one receive.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
MAX_VISIBILITY_REST_SECONDS = 120
MAX_RECEIVES = 200
# A rest of a lane in a batch that uses other upstreams, too.
MAX_MIXED_REST_SECONDS = 600
NO_SHARE_PAUSE_SECONDS = 15
# How often lines that are refused while others are answered are retried before the patience with them ends.
LONE_RETRIES = 6


async def run_lane(
    ports: Ports[InferenceSettings], connect: Connect, delivery: Delivery, budget: ByteBudget
) -> Ending:
    """Run a lane as far as time and the upstream allow."""
    batch = await asyncio.to_thread(ports.batches.get_batch, delivery.message.batch_id)
    if batch is None or not batch.is_open:
        return DONE
    manifest = await asyncio.to_thread(read_manifest, ports, batch)
    lane = manifest.lanes[delivery.message.lane]
    known = await asyncio.to_thread(ports.upstreams.get_state, lane.upstream)
    predecessors = Predecessors(ports, batch.id, delivery.message.lane)
    await predecessors.look()
    worker = _Worker(ports, connect, delivery, budget, batch, manifest, lane, known, predecessors)
    try:
        return await worker.run() or DONE
    except Fenced:
        return Ending(Verdict.LEAVE)


@dataclass(frozen=True, slots=True)
class _Worker:
    """Runs a lane of an open batch. `known` includes the rest that preceded it, or is still under way."""

    ports: Ports[InferenceSettings]
    connect: Connect
    delivery: Delivery
    budget: ByteBudget
    batch: Batch
    manifest: Manifest
    lane: Lane
    known: UpstreamState
    predecessors: Predecessors

    async def run(self) -> Ending | None:
        """Run the lane; None if nothing is left of it. Raises: Fenced."""
        ports, lease = self.ports, self.delivery.lease
        cancelling = self.batch.status is BatchStatus.CANCELLING
        waits = not cancelling and ports.now() < self.batch.expires_at
        if waits and (ending := await self._wait_for_upstream()) is not None:
            return ending
        shards = await asyncio.to_thread(
            LaneShards,
            ports,
            self.batch,
            self.manifest,
            self.delivery.message.lane,
            lambda: lease.is_held,
            lambda: self.predecessors.are_draining,
        )
        stop, run = (Stop.CANCELLED, None) if cancelling else await self._run_shards(shards)
        if run is not None and (ending := await self._end_early(run, stop)) is not None:
            return ending
        if stop is Stop.CANCELLED:
            # What they have in flight may still be answered.
            await self.predecessors.watch()
            await asyncio.to_thread(shards.finish_all)
        await asyncio.to_thread(close_if_due, ports, self.batch.id)
        return None

    async def _wait_for_upstream(self) -> Ending | None:
        """Hand the lane over if its upstream is having a rest, or may not be used at this hour."""
        now, rest = self.ports.now(), self.known.rest
        if rest is not None and rest.until > now:
            if self.batch.trouble is None:
                await asyncio.to_thread(self.ports.batches.note_trouble, self.batch.id, rest.trouble)
            return await self._hand_over(rest.until - now)
        opens_at = self._opens_at(now)
        return None if opens_at is None else await self._hand_over(opens_at - now)

    def _opens_at(self, now: float) -> int | None:
        """When the upstream's active hours begin; None if it may be used now."""
        upstream = self.ports.settings.find_upstream(self.lane.upstream)
        opens_at = upstream.active.opens_at(now) if upstream and upstream.active else None
        if opens_at is None or self.ports.settings.active_hours_are_strict:
            return opens_at
        return opens_at if opens_at < self.batch.expires_at else None

    async def _run_shards(self, shards: LaneShards) -> tuple[Stop | None, LaneRun]:
        """Run each poisoned shard by itself, then all others together."""
        async with self.connect(self.lane.upstream) as upstream:
            while (poisoned := await asyncio.to_thread(shards.begin_poisoned)) is not None:
                run = self._prepare(upstream, shards, iter([poisoned]), one_by_one=True)
                if (stop := await run.run()) is not None:
                    return stop, run
            run = self._prepare(upstream, shards, iter(shards.begin_next, None))
            return await run.run(), run

    def _prepare(
        self, upstream: Upstream, shards: LaneShards, begun: Iterator[Begun], *, one_by_one: bool = False
    ) -> LaneRun:
        now, found = self.ports.now(), self.ports.settings.find_upstream(self.lane.upstream)
        closes_at = found.active.closes_at(now) if found and found.active else None
        work = Work(
            self.batch,
            self.manifest,
            begun,
            replace(self.lane, capacity=1) if one_by_one else self.lane,
            self.delivery.message.lane,
            served=shards.has_results and self.batch.completed > 0,
            upstream_limit=found.max_concurrent_requests if found else None,
            active_until=math.inf if closes_at is None else closes_at,
            has_more=shards.has_more,
            one_by_one=one_by_one,
        )
        return LaneRun(self.ports, upstream, work, self.delivery, self.budget, self.known, self.predecessors)

    async def _end_early(self, run: LaneRun, stop: Stop | None) -> Ending | None:
        """Return the ending of a lane with lines left to run; None if there is nothing more to do in it."""
        match stop:
            case Stop.OUT_OF_TIME:
                return await self._hand_over(0)
            case Stop.REFUSED_ALONE:
                await self._note_trouble(run)
                patience = self.ports.settings.refusal_patience_seconds
                return await self._hand_over(min(MAX_REST_SECONDS, patience / LONE_RETRIES))
            case Stop.UPSTREAM_DOWN:
                await self._note_trouble(run)
                until = await agree_on_rest(self.ports, self.lane.upstream, run.trouble, run.retry_after)
                return await self._hand_over(until - self.ports.now())
            case Stop.NO_SHARE:
                return await self._hand_over(NO_SHARE_PAUSE_SECONDS)
            case Stop.INACTIVE:
                return await self._wait_for_upstream() or await self._hand_over(0)
            case Stop.REPLACED | Stop.HANDED_OVER:
                return Ending(Verdict.LEAVE)
            case Stop.EXPIRED:
                await self._note_trouble(run)
        return None

    async def _note_trouble(self, run: LaneRun) -> None:
        if run.trouble is not None:
            await asyncio.to_thread(self.ports.batches.note_trouble, self.batch.id, run.trouble)

    async def _hand_over(self, seconds: float) -> Ending:
        """Let another worker continue after `seconds`, by the message's visibility or by the sweeper."""
        ports, delay = self.ports, max(0, math.ceil(seconds))
        if delay > MAX_VISIBILITY_REST_SECONDS or self.delivery.receives >= MAX_RECEIVES:
            if any(lane.upstream != self.lane.upstream for lane in self.manifest.lanes):
                # Until then the sweeper does not notice if a message of another upstream's lane is lost.
                delay = min(delay, MAX_MIXED_REST_SECONDS)
            wake_at = min(int(ports.now()) + delay, self.batch.expires_at)
            if await asyncio.to_thread(ports.batches.rest_batch, self.batch.id, wake_at):
                return DONE
            delay = 0
        return Ending(Verdict.HAND_BACK, delay)
