"""/v1/batches/{id}/receipt, an extension."""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.ports import Ports
from nightlane.domain.receipts import get_receipt
from nightlane.wire import receipts


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.get(
        "/batches/{batch_id}/receipt",
        Operation("retrieveBatchReceipt", "Retrieve what a batch took and cost", returns=receipts.Receipt),
    )
    def receipt(request: Request, batch_id: str) -> Response:
        # Imported here, because the api's cold start counts and this is rarely asked for.
        from nightlane.aws.receipts import calls_and_costs

        found = get_receipt(ports, request.tenant, batch_id)
        return json_response(receipts.receipt_object(found, *calls_and_costs(found)))

    return router
