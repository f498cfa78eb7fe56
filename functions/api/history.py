"""/v1/batches/{id}/history, an extension."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import json_response, tenant_of
from functions.api.operation import Operation
from nightlane.domain.history import get_history
from nightlane.domain.ports import Ports
from nightlane.settings import ApiSettings
from nightlane.wire.history import BatchHistory, history_object


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/<batch_id>/history")
    @Operation(
        "retrieveBatchHistory",
        "Retrieve the throughput and latency of a batch over time, an extension",
        returns=BatchHistory,
    )
    def history(batch_id: str) -> Response[str]:
        found = get_history(ports, tenant_of(router.current_event), batch_id)
        return json_response(history_object(batch_id, found))

    return router
