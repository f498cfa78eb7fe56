"""dead_letters: the dead letters of every queue; what cannot be run still gets an answer."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.queues import read_batch_message, read_shard_message
from nightlane.domain.dead_letters import fail_assembly, fail_plan, fail_shard
from nightlane.domain.metrics import Metric
from nightlane.observability import logger, published
from nightlane.wiring import ports


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    record = event["Records"][0]
    ports().metrics.add(Metric.DEAD_LETTERS)
    queue = record["eventSourceARN"].split(":")[-1].removesuffix(".fifo")
    logger.error("dead letter", queue=queue, message_body=record["body"])
    if queue.endswith("infer-dead"):
        fail_shard(ports(), read_shard_message(record["body"]))
    elif queue.endswith("plan-dead"):
        fail_plan(ports(), read_batch_message(record["body"]))
    else:
        fail_assembly(ports(), read_batch_message(record["body"]))
