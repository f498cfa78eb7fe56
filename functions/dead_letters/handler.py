"""dead_letters: handles the dead letters of every queue, so that their batches still end."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.queues import read_batch_message, read_lane_message
from nightlane.domain.dead_letters import fail_assembly, fail_lane, fail_plan
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, published
from nightlane.settings import DeadLettersSettings
from nightlane.wiring import ports_on_aws


def make_handler(ports: Ports[DeadLettersSettings]) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        record = event["Records"][0]
        queue, body, settings = record["eventSourceARN"], record["body"], ports.settings
        ports.metrics.add(Metric.DEAD_LETTERS)
        logger.error("dead letter", queue=queue, message_body=body)
        match queue:
            case settings.infer_dead_letters_arn:
                fail_lane(ports, read_lane_message(body))
            case settings.plan_dead_letters_arn:
                fail_plan(ports, read_batch_message(body))
            case settings.assemble_dead_letters_arn:
                fail_assembly(ports, read_batch_message(body))
            case settings.notify_dead_letters_arn:
                # The outbox still has the event, and the sweeper sends it again.
                pass
            case _:
                raise ValueError(f"{queue} is not a dead-letter queue of this stack")

    return handler


handler = on_aws(DeadLettersSettings, lambda settings, clients: make_handler(ports_on_aws(settings, clients)))
