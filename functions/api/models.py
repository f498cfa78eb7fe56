"""/v1/models, from all upstreams."""

from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import json_response
from functions.api.operation import Operation
from nightlane.domain.ports import UpstreamModels
from nightlane.wire import objects


def routes(models: UpstreamModels) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/")
    @Operation("listModels", "List the models of all inference endpoints", returns=objects.Models)
    def index() -> Response[str]:
        return json_response(models.list_models())

    @router.get("/.+")
    @Operation("retrieveModel", "Retrieve a model", returns=objects.Model, path="/models/{model}")
    def retrieve() -> Response[str]:
        # A model's id may contain a slash, plain or percent-encoded.
        model = unquote(router.current_event.path.split("/models/", 1)[1])
        return json_response(models.retrieve_model(model))

    return router
