"""dead_letters: handles the dead letters of every queue, so that their batches still end."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.queues import BatchMessage, EventMessage, read_dead_letter
from nightlane.domain.dead_letters import fail_lane, fail_step
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.shard import LaneMessage
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, published
from nightlane.settings import DeadLettersSettings
from nightlane.wiring import ports_on_aws


def make_handler(ports: Ports[DeadLettersSettings]) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        record = event["Records"][0]
        sent_to = record["attributes"].get("DeadLetterQueueSourceArn")
        ports.metrics.add(Metric.DEAD_LETTERS)
        logger.error("dead letter", queue=sent_to, message_body=record["body"])
        match read_dead_letter(record["body"]):
            case LaneMessage() as message:
                fail_lane(ports, message)
            case BatchMessage(batch_id=batch_id):
                fail_step(ports, batch_id)
            case EventMessage():
                # The outbox still has the event, and the sweeper sends it again.
                pass

    return handler


handler = on_aws(DeadLettersSettings, lambda settings, clients: make_handler(ports_on_aws(settings, clients)))
