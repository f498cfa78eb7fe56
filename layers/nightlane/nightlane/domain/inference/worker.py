"""Processes one message to `infer`."""

import asyncio
import math
from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.closing import close_if_due
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import LeaseView, Upstream
from nightlane.domain.inference.run import ShardRun
from nightlane.domain.inference.supervisor import Stop
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.shard import ShardMessage
from nightlane.domain.trouble import MAX_REST_SECONDS, Rest, rest_after
from nightlane.settings import InferenceSettings

# A longer rest, or one of a message that was received often, is ended by the sweeper: a message can be
# received at most 1,000 times, and each rest by visibility costs one receive.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
MAX_VISIBILITY_REST_SECONDS = 120
MAX_RECEIVES = 200
# How often lines that are refused while others are answered are retried before the patience with them ends.
LONE_RETRIES = 6
# A shard's item expires this long after its batch, in case the batch could not delete it.
SHARD_RETENTION_SECONDS = 7 * 86_400


class Verdict(Enum):
    """What happens to the message."""

    DONE = auto()
    HAND_BACK = auto()
    """Another worker continues after `delay_seconds`."""
    LEAVE = auto()
    """It is no longer ours: neither delete it nor change its visibility."""


@dataclass(frozen=True, slots=True)
class Ending:
    verdict: Verdict
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received message. `receives` counts how often it was received, including this time."""

    message: ShardMessage
    lease: LeaseView
    deadline: float
    """When the run must end, on the monotonic clock."""
    receives: int = 1


DONE = Ending(Verdict.DONE)


async def run_shard(
    ports: Ports[InferenceSettings], upstream: Upstream, delivery: Delivery, budget: ByteBudget
) -> Ending:
    """Run a shard as far as time and the upstream allow."""
    message = delivery.message
    batch = await asyncio.to_thread(ports.batches.get_batch, message.batch_id)
    if batch is None or not batch.is_open:
        return DONE
    rest = await asyncio.to_thread(ports.upstreams.get_rest, ports.settings.upstream_url)
    cancelling = batch.status is BatchStatus.CANCELLING
    if rest is not None and rest.until > ports.now() and not cancelling and ports.now() < batch.expires_at:
        return await _hand_over(ports, batch, delivery, rest.until - ports.now())
    forget_at = batch.expires_at + SHARD_RETENTION_SECONDS
    shard = await asyncio.to_thread(
        ports.batches.begin_shard, message.batch_id, message.shard.index, forget_at
    )
    if shard.finished:
        await asyncio.to_thread(close_if_due, ports, message.batch_id)
        return DONE
    run = ShardRun(ports, upstream, batch, message, shard, delivery.lease, delivery.deadline, budget, rest)
    if cancelling:
        run.supervisor.halt(Stop.CANCELLED)
    match await run.run():
        case Stop.OUT_OF_TIME:
            return await _hand_over(ports, batch, delivery, 0)
        case Stop.REFUSED_ALONE:
            await _note_trouble(ports, batch, run)
            pause = min(MAX_REST_SECONDS, ports.settings.refusal_patience_seconds / LONE_RETRIES)
            return await _hand_over(ports, batch, delivery, pause)
        case Stop.UPSTREAM_DOWN:
            until = await _agree_on_rest(ports, batch, run)
            return await _hand_over(ports, batch, delivery, until - ports.now())
        case Stop.REPLACED:
            return Ending(Verdict.LEAVE)
        case Stop.EXPIRED:
            await _note_trouble(ports, batch, run)
    await asyncio.to_thread(close_if_due, ports, message.batch_id)
    return DONE


async def _note_trouble(ports: Ports, batch: Batch, run: ShardRun) -> None:
    if run.trouble is not None:
        await asyncio.to_thread(ports.batches.note_trouble, batch.id, run.trouble)


async def _agree_on_rest(ports: Ports[InferenceSettings], batch: Batch, run: ShardRun) -> float:
    """Start a rest of all lanes, or join the one under way; returns its end in seconds since 1970."""
    await _note_trouble(ports, batch, run)
    ports.metrics.add(Metric.UPSTREAM_DOWN)
    upstream, now = ports.settings.upstream_url, ports.now()
    known = await asyncio.to_thread(ports.upstreams.get_rest, upstream)
    if known is not None and known.until > now:
        return known.until
    if run.trouble is None:
        # A request that was still in flight has been answered.
        return now
    rest = rest_after(known, run.trouble, now, ports.settings.upstream_pause_seconds)
    if run.retry_after is not None:
        requested = int(now + min(run.retry_after, MAX_REST_SECONDS))
        rest = Rest(max(rest.until, requested), rest.count, rest.trouble)
    agreed = await asyncio.to_thread(ports.upstreams.begin_rest, upstream, rest, known)
    ports.log(
        "all lanes rest", upstream=upstream, seconds=round(agreed.until - now), reason=str(rest.trouble)
    )
    return agreed.until


async def _hand_over(ports: Ports, batch: Batch, delivery: Delivery, seconds: float) -> Ending:
    """Let another worker continue after `seconds`, by the message's visibility or by the sweeper."""
    delay = max(0, math.ceil(seconds))
    if delay > MAX_VISIBILITY_REST_SECONDS or delivery.receives >= MAX_RECEIVES:
        wake_at = min(int(ports.now()) + delay, batch.expires_at)
        if await asyncio.to_thread(ports.batches.rest_batch, batch.id, wake_at):
            return DONE
        delay = 0
    return Ending(Verdict.HAND_BACK, delay)
