"""What one message to `infer` brings about."""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.batch import BatchStatus
from nightlane.domain.closing import close_if_due
from nightlane.domain.inference.ports import LeaseView, Upstream
from nightlane.domain.inference.run import ShardRun, Stop
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.shard import ShardMessage


class Verdict(Enum):
    """What becomes of the message."""

    DONE = auto()
    HAND_BACK = auto()
    """Another worker goes on after `delay_seconds`."""
    LEAVE = auto()
    """It is not ours any more: neither delete it nor touch its visibility."""


@dataclass(frozen=True, slots=True)
class Ending:
    verdict: Verdict
    delay_seconds: int = 0


DONE = Ending(Verdict.DONE)


async def run_shard(
    ports: Ports, upstream: Upstream, message: ShardMessage, lease: LeaseView, deadline: float
) -> Ending:
    """Run a shard as far as time allows. `deadline` is on the monotonic clock."""
    batch = await asyncio.to_thread(ports.batches.get_batch, message.batch_id)
    if batch is None or not batch.is_open:
        return DONE
    shard = await asyncio.to_thread(ports.batches.begin_shard, message.batch_id, message.shard.index)
    stop = None
    if not shard.finished:
        run = ShardRun(ports, upstream, batch, message, shard, lease, deadline)
        if batch.status is BatchStatus.CANCELLING:
            run.cancel()
        stop = await run.run()
    match stop:
        case Stop.OUT_OF_TIME:
            return Ending(Verdict.HAND_BACK)
        case Stop.UPSTREAM_DOWN:
            ports.metrics.add(Metric.UPSTREAM_DOWN)
            return Ending(Verdict.HAND_BACK, ports.settings.upstream_pause_seconds)
        case Stop.REPLACED:
            return Ending(Verdict.LEAVE)
    await asyncio.to_thread(close_if_due, ports, message.batch_id)
    return DONE
