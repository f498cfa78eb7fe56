"""/v1/models, from the upstream."""

from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import json_answer
from nightlane.wiring import ports

router = APIGatewayRouter()


@router.get("/")
def index() -> Response[str]:
    return json_answer(ports().models.list_models())


@router.get("/.+")
def retrieve() -> Response[str]:
    # A model's id may hold a slash, plain or percent-encoded.
    model = unquote(router.current_event.path.split("/models/", 1)[1])
    return json_answer(ports().models.retrieve_model(model))
