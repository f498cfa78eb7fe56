"""/v1/models, from the upstream."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import json_answer
from nightlane.wiring import ports

router = APIGatewayRouter()


@router.get("/")
def index() -> Response[str]:
    return json_answer(ports().models.list_models())


@router.get("/<model>")
def retrieve(model: str) -> Response[str]:
    return json_answer(ports().models.retrieve_model(model))
