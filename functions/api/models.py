"""/v1/models, from all upstreams."""

from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import json_response
from nightlane.domain.ports import UpstreamModels


def routes(models: UpstreamModels) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/")
    def index() -> Response[str]:
        return json_response(models.list_models())

    @router.get("/.+")
    def retrieve() -> Response[str]:
        # A model's id may contain a slash, plain or percent-encoded.
        model = unquote(router.current_event.path.split("/models/", 1)[1])
        return json_response(models.retrieve_model(model))

    return router
