"""api: every route of the Batch API; parse, one domain call, answer."""

import uuid
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api import batches, files, models
from functions.api.answers import json_answer
from nightlane.domain.errors import ApiError, NotFound, ServerError
from nightlane.observability import logger, published
from nightlane.wire.errors import envelope, error_headers

# The stage is called v1; behind a custom domain the path may still hold it.
app = APIGatewayRestResolver(strip_prefixes=["/v1"])
app.include_router(files.router, prefix="/files")
app.include_router(batches.router, prefix="/batches")
app.include_router(models.router, prefix="/models")


def refuse(error: ApiError) -> Response[str]:
    return json_answer(envelope(error), error.status, error_headers(error))


app.exception_handler(ApiError)(refuse)


@app.exception_handler(Exception)
def fail(error: Exception) -> Response[str]:
    logger.exception("unhandled", exc_info=error)
    return refuse(ServerError("The server had an error while processing your request. Sorry about that!"))


@app.not_found
def unknown_route(_: NotFoundError) -> Response[str]:
    event = app.current_event
    return refuse(NotFound(f"Invalid URL ({event.http_method} {event.request_context.path})"))


@logger.inject_lambda_context(clear_state=True)
@published()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    request_id = f"req_{uuid.uuid4().hex}"
    logger.append_keys(request_id=request_id, path=event["path"], method=event["httpMethod"])
    answer = app.resolve(event, context)
    answer["multiValueHeaders"] |= {"x-request-id": [request_id], "openai-version": ["2020-10-01"]}
    return answer
