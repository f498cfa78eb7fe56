"""api: the routes of the Batch API. Each parses the request, calls the domain once and responds."""

import uuid
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api import (
    batches,
    console_files,
    documentation,
    estimates,
    files,
    history,
    models,
    receipts,
    results,
    uploads,
    upstreams,
    webhooks,
)
from functions.api.http import json_response
from functions.api.methods import no_route
from nightlane.domain.errors import ApiError, ServerError
from nightlane.domain.ports import Ports, UpstreamModels
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, published
from nightlane.settings import ApiSettings
from nightlane.wire.errors import envelope, error_headers
from nightlane.wire.headers import cors_headers
from nightlane.wiring import models_of, ports_on_aws


def make_handler(ports: Ports[ApiSettings], upstream_models: UpstreamModels) -> Handler:
    routes = make_routes(ports, upstream_models)
    allowed = {name: [value] for name, value in cors_headers(ports.settings.cors_origin).items()}

    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        request_id = f"req_{uuid.uuid4().hex}"
        logger.append_keys(request_id=request_id, path=event["path"], method=event["httpMethod"])
        response = routes.resolve(event, context)
        response["multiValueHeaders"] |= allowed | {
            "x-request-id": [request_id],
            "openai-version": ["2020-10-01"],
        }
        return response

    return handler


def make_routes(ports: Ports[ApiSettings], upstream_models: UpstreamModels) -> APIGatewayRestResolver:
    # v1 is the name of the stage; behind a custom domain it can still be part of the path.
    app = APIGatewayRestResolver(strip_prefixes=["/v1"])
    app.include_router(files.routes(ports), prefix="/files")
    app.include_router(uploads.routes(ports), prefix="/uploads")
    app.include_router(batches.routes(ports), prefix="/batches")
    app.include_router(estimates.routes(ports), prefix="/batches")
    app.include_router(results.routes(ports), prefix="/batches")
    app.include_router(receipts.routes(ports), prefix="/batches")
    app.include_router(history.routes(ports), prefix="/batches")
    app.include_router(models.routes(upstream_models), prefix="/models")
    app.include_router(upstreams.routes(ports), prefix="/upstreams")
    app.include_router(webhooks.routes(ports))
    app.include_router(console_files.routes(ports))
    app.include_router(documentation.routes(app, ports.settings))
    app.exception_handler(ApiError)(_error_response)
    app.exception_handler(Exception)(_unexpected_error)

    @app.not_found
    def unknown_route(_: NotFoundError) -> Response[str]:
        return _error_response(no_route(app))

    return app


def _error_response(error: ApiError) -> Response[str]:
    return json_response(envelope(error), error.status, error_headers(error))


def _unexpected_error(error: Exception) -> Response[str]:
    logger.exception("unhandled", exc_info=error)
    return _error_response(
        ServerError("The server had an error while processing your request. Sorry about that!")
    )


handler = on_aws(
    ApiSettings,
    lambda settings, clients: make_handler(ports_on_aws(settings, clients), models_of(settings, clients)),
)
