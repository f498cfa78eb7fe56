"""/v1/models, from all upstreams."""

from urllib.parse import unquote

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.routing import Routes
from nightlane.domain.ports import UpstreamModels
from nightlane.wire import objects


def routes(models: UpstreamModels) -> Routes:
    router = Routes()

    @router.get(
        "/models",
        Operation("listModels", "List the models of all inference endpoints", returns=objects.Models),
    )
    def index(_: Request) -> Response:
        return json_response(models.list_models())

    @router.get("/models/{model+}", Operation("retrieveModel", "Retrieve a model", returns=objects.Model))
    def retrieve(_: Request, model: str) -> Response:
        # A model's id may contain a slash, plain or percent-encoded.
        return json_response(models.retrieve_model(unquote(model)))

    return router
