"""sweep: every minute, look again at what is due."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from nightlane.domain.sweeping import sweep
from nightlane.observability import logger, published
from nightlane.wiring import ports


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    sweep(ports())
