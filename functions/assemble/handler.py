"""assemble: for a message from SQS, writes the files of a closed batch, ends it and admits the next."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.aws.clients import Clients
from nightlane.aws.lease import Leases
from nightlane.aws.queues import read_batch_message
from nightlane.domain.assembly import assemble_batch
from nightlane.domain.ports import Ports
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, measure_queue_wait, published
from nightlane.settings import AssembleSettings
from nightlane.wiring import ports_on_aws


def make_handler(ports: Ports[AssembleSettings], leases: Leases) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        record = event["Records"][0]
        measure_queue_wait(ports, "assemble", record)
        batch_id = read_batch_message(record["body"])
        logger.append_keys(batch_id=batch_id)
        with leases.on(record):
            assemble_batch(ports, batch_id)

    return handler


def _on_aws(settings: AssembleSettings, clients: Clients) -> Handler:
    leases = Leases(clients.sqs, settings.assemble_queue_url, settings.worker_lease_seconds)
    return make_handler(ports_on_aws(settings, clients), leases)


handler = on_aws(AssembleSettings, _on_aws)
