"""/v1/batches"""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import body_of, json_response, tenant_of
from functions.api.operation import Operation
from functions.api.quotas import quota_headers, quota_of
from nightlane.domain.batches import cancel_batch, create_batch, get_batch, list_batches
from nightlane.domain.inline import create_inline
from nightlane.domain.ports import Ports
from nightlane.domain.progress import get_progress
from nightlane.settings import ApiSettings
from nightlane.wire import objects
from nightlane.wire.create_batch import read_create_batch
from nightlane.wire.requests import CreateBatch, ListBatches, read
from nightlane.wire.responses import batch_object, page, progress_object


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.post("/")
    @Operation(
        "createBatch",
        "Create a batch from an uploaded file, or from requests in the body",
        body=CreateBatch,
        returns=objects.Batch,
        headers={"Idempotency-Key": "Creates with equal keys create one batch"},
        errors=(409,),
    )
    def create() -> Response[str]:
        event = router.current_event
        request, lines = read_create_batch(body_of(event), ports.settings.extra_endpoints)
        tenant, token = tenant_of(event), request.token(event.headers.get("idempotency-key"))
        quota = quota_of(event, ports.settings)
        if lines is None:
            batch = create_batch(ports, tenant, request.to_domain(), token, quota)
        else:
            batch = create_inline(ports, tenant, request.to_domain(), lines, token, quota)
        return json_response(batch_object(batch), headers=quota_headers(ports, tenant, quota))

    @router.get("/")
    @Operation(
        "listBatches",
        "List the batches, newest first",
        query=ListBatches,
        returns=objects.BatchPage,
        errors=(404,),
    )
    def index() -> Response[str]:
        event = router.current_event
        query = read(ListBatches, event.query_string_parameters)
        batches = list_batches(ports, tenant_of(event), after=query.after, limit=query.limit)
        return json_response(page(batches, query.limit, batch_object))

    @router.get("/<batch_id>")
    @Operation("retrieveBatch", "Retrieve a batch", returns=objects.Batch)
    def retrieve(batch_id: str) -> Response[str]:
        return json_response(batch_object(get_batch(ports, tenant_of(router.current_event), batch_id)))

    @router.post("/<batch_id>/cancel")
    @Operation("cancelBatch", "Cancel a batch", returns=objects.Batch, errors=(409,))
    def cancel(batch_id: str) -> Response[str]:
        return json_response(batch_object(cancel_batch(ports, tenant_of(router.current_event), batch_id)))

    @router.get("/<batch_id>/progress")
    @Operation(
        "retrieveBatchProgress", "Retrieve what a batch is doing, an extension", returns=objects.Progress
    )
    def progress(batch_id: str) -> Response[str]:
        return json_response(progress_object(get_progress(ports, tenant_of(router.current_event), batch_id)))

    return router
