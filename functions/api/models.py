"""/v1/models, from the upstream."""

from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import json_answer
from nightlane.domain.ports import UpstreamModels


def routes(models: UpstreamModels) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/")
    def index() -> Response[str]:
        return json_answer(models.list_models())

    @router.get("/.+")
    def retrieve() -> Response[str]:
        # A model's id may hold a slash, plain or percent-encoded.
        model = unquote(router.current_event.path.split("/models/", 1)[1])
        return json_answer(models.retrieve_model(model))

    return router
