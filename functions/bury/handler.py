"""bury: the dead letters of every queue; what cannot be run still gets an answer."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.queues import read_batch_message, read_shard_message
from nightlane.domain.burial import bury_assembly, bury_plan, bury_shard
from nightlane.domain.metrics import Metric
from nightlane.observability import logger, published
from nightlane.wiring import ports


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    record = event["Records"][0]
    ports().metrics.add(Metric.DEAD_LETTERS)
    # CloudFormation makes up the queues' names: only the source's URL in the settings says which one it was.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
    source = record["attributes"]["DeadLetterQueueSourceArn"].rsplit(":", 1)[1]
    logger.error("dead letter", queue=source, message_body=record["body"])
    if _is(source, ports().settings.infer_queue_url):
        bury_shard(ports(), read_shard_message(record["body"]))
    elif _is(source, ports().settings.plan_queue_url):
        bury_plan(ports(), read_batch_message(record["body"]))
    else:
        bury_assembly(ports(), read_batch_message(record["body"]))


def _is(queue: str, url: str) -> bool:
    return url.endswith(f"/{queue}")
