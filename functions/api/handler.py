"""api: the routes of the Batch API. Each parses the request, calls the domain once and responds."""

import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from functions.api import batches, documentation, files, models
from functions.api.http import Request, Response, json_response
from functions.api.routing import Router, Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.errors import ApiError, ServerError
from nightlane.domain.ports import Ports, UpstreamModels
from nightlane.entry import Handler, on_aws
from nightlane.observability import logger, published
from nightlane.wire.errors import envelope, error_headers
from nightlane.wire.headers import cors_headers
from nightlane.wiring import models_of, ports_on_aws

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# What most cold starts do not need is imported when a path has one of these segments: modules of this folder.
RARE = {
    "uploads": "uploads",
    "limits": "estimates",
    "estimate": "estimates",
    "results": "results",
    "retry": "results",
    "receipt": "receipts",
    "history": "history",
    "upstreams": "upstreams",
    "webhook_endpoints": "webhooks",
    "webhook_event_types": "webhooks",
    "console": "console_files",
}


def make_handler(ports: Ports[ApiSettings], upstream_models: UpstreamModels) -> Handler:
    router = make_router(ports, upstream_models)
    allowed = cors_headers(ports.settings.cors_origin)

    @logger.inject_lambda_context(clear_state=True)
    @published(ports.metrics)
    def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        request_id = f"req_{uuid.uuid4().hex}"
        logger.append_keys(request_id=request_id, path=event["path"], method=event["httpMethod"])
        response = _respond(router, event)
        return response.to_event(allowed | {"x-request-id": request_id, "openai-version": "2020-10-01"})

    return handler


def make_router(ports: Ports[ApiSettings], upstream_models: UpstreamModels) -> Router:
    def load(module: str) -> Routes:
        routes: Routes = import_module(f"functions.api.{module}").routes(ports)
        return routes

    usual = [
        files.routes(ports),
        batches.routes(ports),
        models.routes(upstream_models),
        documentation.routes(lambda: router.all_routes(), ports.settings),
    ]
    router = Router(usual, RARE, load)
    return router


def _respond(router: Router, event: dict[str, Any]) -> Response:
    try:
        return router.respond(Request.of(event))
    except ApiError as error:
        return _error_response(error)
    except Exception as error:
        logger.exception("unhandled", exc_info=error)
        return _error_response(
            ServerError("The server had an error while processing your request. Sorry about that!")
        )


def _error_response(error: ApiError) -> Response:
    return json_response(envelope(error), error.status, error_headers(error))


handler = on_aws(
    ApiSettings,
    lambda settings, clients: make_handler(ports_on_aws(settings, clients), models_of(settings, clients)),
)
