"""/v1/batches/{id}/history, an extension."""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.history import get_history
from nightlane.domain.ports import Ports
from nightlane.wire.history import BatchHistory, history_object


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.get(
        "/batches/{batch_id}/history",
        Operation(
            "retrieveBatchHistory",
            "Retrieve the throughput and latency of a batch over time, an extension",
            returns=BatchHistory,
        ),
    )
    def history(request: Request, batch_id: str) -> Response:
        found = get_history(ports, request.tenant, batch_id)
        return json_response(history_object(batch_id, found))

    return router
