"""plan: for a message from SQS, validates a new batch, divides it into shards and admits it if it can."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.clients import Clients
from nightlane.aws.lease import Leases
from nightlane.aws.queues import read_batch_message
from nightlane.domain.planning import plan_batch
from nightlane.domain.ports import Ports, UpstreamModels
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.settings import PlanSettings
from nightlane.wiring import models_of, ports_on_aws


def make_handler(ports: Ports[PlanSettings], models: UpstreamModels, leases: Leases) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        record = event["Records"][0]
        measure_queue_wait(ports, "plan", record)
        batch_id = read_batch_message(record["body"])
        logger.append_keys(batch_id=batch_id)
        with leases.on(record):
            plan_batch(ports, models, batch_id)

    return handler


def _on_aws(settings: PlanSettings, clients: Clients) -> Handler:
    leases = Leases(clients.sqs, settings.plan_queue_url, settings.worker_lease_seconds)
    return make_handler(ports_on_aws(settings, clients), models_of(settings, clients), leases)


handler = on_aws(PlanSettings, _on_aws)
