"""receive: completes the file of a direct upload, once S3 has its content."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.domain.pending_files import receive_object
from nightlane.domain.ports import Ports
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, published
from nightlane.settings import ReceiveSettings
from nightlane.wiring import ports_on_aws


def make_handler(ports: Ports[ReceiveSettings]) -> Handler:
    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        # The key is plain text, unlike that in S3's own notifications.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
        receive_object(ports, event["detail"]["object"]["key"])

    return handler


handler = on_aws(ReceiveSettings, lambda settings, clients: make_handler(ports_on_aws(settings, clients)))
