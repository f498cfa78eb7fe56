"""assemble: SQS hands a closed batch over; write its files, end it, admit the next."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.lease import holding
from nightlane.aws.queues import read_batch_message
from nightlane.domain.assembly import assemble_batch
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.wiring import clients, ports


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    record = event["Records"][0]
    measure_queue_wait(ports(), "assemble", record)
    batch_id = read_batch_message(record["body"])
    logger.append_keys(batch_id=batch_id)
    with holding(clients(), ports().settings.assemble_queue_url, record, ports()):
        assemble_batch(ports(), batch_id)
