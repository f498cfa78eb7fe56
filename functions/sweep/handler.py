"""sweep: every minute, handles the batches and files that are due."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.domain.ports import Ports
from nightlane.domain.sweeping import sweep
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, published
from nightlane.settings import SweepSettings
from nightlane.wiring import ports_on_aws


def make_handler(ports: Ports[SweepSettings]) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        sweep(ports)

    return handler


handler = on_aws(SweepSettings, lambda settings, clients: make_handler(ports_on_aws(settings, clients)))
