"""/v1/upstreams, an extension."""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.ports import Ports
from nightlane.domain.upstreams import list_upstreams
from nightlane.wire.upstreams import UpstreamList, upstream_object


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.get(
        "/upstreams",
        Operation("listUpstreams", "List the inference endpoints, an extension", returns=UpstreamList),
    )
    def index(_: Request) -> Response:
        found: UpstreamList = {"object": "list", "data": [*map(upstream_object, list_upstreams(ports))]}
        return json_response(found)

    return router
