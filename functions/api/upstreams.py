"""/v1/upstreams, an extension."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import json_response
from functions.api.operation import Operation
from nightlane.domain.ports import Ports
from nightlane.domain.upstreams import list_upstreams
from nightlane.settings import ApiSettings
from nightlane.wire.upstreams import UpstreamList, upstream_object


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/")
    @Operation("listUpstreams", "List the inference endpoints, an extension", returns=UpstreamList)
    def index() -> Response[str]:
        found: UpstreamList = {"object": "list", "data": [*map(upstream_object, list_upstreams(ports))]}
        return json_response(found)

    return router
