"""infer: SQS hands one shard of one lane over; run it as far as time allows."""

import gc
from asyncio import run
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.lease import holding
from nightlane.aws.queues import read_shard_message
from nightlane.aws.secrets import UpstreamKey
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.worker import Delivery, Ending, Verdict, run_shard
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.settings import MIB
from nightlane.upstream.http import http_upstream
from nightlane.wiring import clients, ports

# Of the function's memory: an answer is held several times while it is read, kept and committed.
BUDGET_SHARE = 0.125

# What was imported stays: the collector need not walk through it during each run.
gc.freeze()


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    record = event["Records"][0]
    measure_queue_wait(ports(), "infer", record)
    message = read_shard_message(record["body"])
    logger.append_keys(batch_id=message.batch_id, shard=message.shard.index)
    deadline = ports().monotonic() + context.get_remaining_time_in_millis() / 1000
    receives = int(record["attributes"]["ApproximateReceiveCount"])
    budget = ByteBudget(int(int(context.memory_limit_in_mb) * MIB * BUDGET_SHARE))
    with holding(clients(), ports().settings.infer_queue_url, record, ports()) as lease:
        ending = run(_run(Delivery(message, lease, deadline, receives), budget))
        logger.info("shard run ended", verdict=ending.verdict.name, delay_seconds=ending.delay_seconds)
        if ending.verdict is Verdict.HAND_BACK:
            lease.hand_back(ending.delay_seconds)
    failed = [] if ending.verdict is Verdict.DONE else [{"itemIdentifier": record["messageId"]}]
    return {"batchItemFailures": failed}


async def _run(delivery: Delivery, budget: ByteBudget) -> Ending:
    settings = ports().settings
    key = UpstreamKey(settings, clients())
    async with http_upstream(settings, key, budget, ports().now) as upstream:
        return await run_shard(ports(), upstream, delivery, budget)
