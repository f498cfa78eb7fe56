"""notify: for a message from SQS, sends an event to the webhook endpoints that are due."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.queues import read_event_message
from nightlane.domain.ports import Ports
from nightlane.domain.webhook_delivery import deliver_event
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.settings import NotifySettings
from nightlane.wiring import ports_on_aws


def make_handler(ports: Ports[NotifySettings]) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        record = event["Records"][0]
        measure_queue_wait(ports, "notify", record)
        event_id = read_event_message(record["body"])
        logger.append_keys(event_id=event_id)
        deliver_event(ports, event_id)

    return handler


handler = on_aws(NotifySettings, lambda settings, clients: make_handler(ports_on_aws(settings, clients)))
