"""/v1/batches"""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.quotas import quota_headers, quota_of
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.batches import cancel_batch, create_batch, get_batch, list_batches
from nightlane.domain.inline import create_inline
from nightlane.domain.ports import Ports
from nightlane.domain.progress import get_progress
from nightlane.wire import objects
from nightlane.wire.create_batch import read_create_batch
from nightlane.wire.requests import CreateBatch, ListBatches, read
from nightlane.wire.responses import batch_object, page, progress_object


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.post(
        "/batches",
        Operation(
            "createBatch",
            "Create a batch from an uploaded file, or from requests in the body",
            body=CreateBatch,
            returns=objects.Batch,
            headers={"Idempotency-Key": "Creates with equal keys create one batch"},
            errors=(409,),
        ),
    )
    def create(request: Request) -> Response:
        body, lines = read_create_batch(request.body, ports.settings.extra_endpoints)
        tenant, token = request.tenant, body.token(request.headers.get("idempotency-key"))
        quota = quota_of(request, ports.settings)
        if lines is None:
            batch = create_batch(ports, tenant, body.to_domain(), token, quota)
        else:
            batch = create_inline(ports, tenant, body.to_domain(), lines, token, quota)
        return json_response(batch_object(batch), headers=quota_headers(ports, tenant, quota))

    @router.get(
        "/batches",
        Operation(
            "listBatches",
            "List the batches, newest first",
            query=ListBatches,
            returns=objects.BatchPage,
            errors=(404,),
        ),
    )
    def index(request: Request) -> Response:
        query = read(ListBatches, request.query)
        batches = list_batches(ports, request.tenant, after=query.after, limit=query.limit)
        return json_response(page(batches, query.limit, batch_object))

    @router.get("/batches/{batch_id}", Operation("retrieveBatch", "Retrieve a batch", returns=objects.Batch))
    def retrieve(request: Request, batch_id: str) -> Response:
        return json_response(batch_object(get_batch(ports, request.tenant, batch_id)))

    @router.post(
        "/batches/{batch_id}/cancel",
        Operation("cancelBatch", "Cancel a batch", returns=objects.Batch, errors=(409,)),
    )
    def cancel(request: Request, batch_id: str) -> Response:
        return json_response(batch_object(cancel_batch(ports, request.tenant, batch_id)))

    @router.get(
        "/batches/{batch_id}/progress",
        Operation(
            "retrieveBatchProgress", "Retrieve what a batch is doing, an extension", returns=objects.Progress
        ),
    )
    def progress(request: Request, batch_id: str) -> Response:
        return json_response(progress_object(get_progress(ports, request.tenant, batch_id)))

    return router
