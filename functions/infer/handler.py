"""infer: SQS hands one shard of one lane over; run it as far as time allows."""

import asyncio
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.lease import Lease, holding
from nightlane.aws.queues import read_shard_message
from nightlane.aws.secrets import upstream_key
from nightlane.domain.inference.worker import Ending, Verdict, run_shard
from nightlane.domain.shard import ShardMessage
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.upstream.http import http_upstream
from nightlane.wiring import clients, ports


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    record = event["Records"][0]
    measure_queue_wait(ports(), "infer", record)
    message = read_shard_message(record["body"])
    logger.append_keys(batch_id=message.batch_id, shard=message.shard.index)
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    with holding(clients(), ports().settings.infer_queue_url, record, ports().settings) as lease:
        ending = asyncio.run(_run(message, lease, deadline))
        logger.info("shard run ended", verdict=ending.verdict.name, delay_seconds=ending.delay_seconds)
        if ending.verdict is Verdict.HAND_BACK:
            lease.hand_back(ending.delay_seconds)
    failed = [] if ending.verdict is Verdict.DONE else [{"itemIdentifier": record["messageId"]}]
    return {"batchItemFailures": failed}


async def _run(message: ShardMessage, lease: Lease, deadline: float) -> Ending:
    settings = ports().settings
    key = upstream_key(settings, clients())
    async with http_upstream(settings.upstream_url, key, settings.upstream_timeout_seconds) as upstream:
        return await run_shard(ports(), upstream, message, lease, deadline)
