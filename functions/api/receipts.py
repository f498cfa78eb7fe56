"""/v1/batches/{id}/receipt, an extension."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import json_response, tenant_of
from functions.api.operation import Operation
from nightlane.domain.ports import Ports
from nightlane.domain.receipts import get_receipt
from nightlane.settings import ApiSettings
from nightlane.wire import receipts


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/<batch_id>/receipt")
    @Operation("retrieveBatchReceipt", "Retrieve what a batch took and cost", returns=receipts.Receipt)
    def receipt(batch_id: str) -> Response[str]:
        # Imported here, because the api's cold start counts and this is rarely asked for.
        from nightlane.aws.receipts import calls_and_costs

        found = get_receipt(ports, tenant_of(router.current_event), batch_id)
        return json_response(receipts.receipt_object(found, *calls_and_costs(found)))

    return router
