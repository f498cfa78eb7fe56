"""/v1/batches/{id}/results and …/retry: what is answered so far, and what failed once more. Extensions."""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.quotas import quota_of
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
from nightlane.domain.ports import Ports
from nightlane.domain.results import read_results
from nightlane.domain.retry import retry_batch
from nightlane.wire import objects
from nightlane.wire.requests import ReadResults, RetryBatch, read, read_json
from nightlane.wire.responses import batch_object

JSON_LINES = "application/x-ndjson"


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.get(
        "/batches/{batch_id}/results",
        Operation(
            "listBatchResults",
            "Read the results so far, an extension; X-Last-Line is the next page's `after`",
            query=ReadResults,
            content=JSON_LINES,
        ),
    )
    def results(request: Request, batch_id: str) -> Response:
        query = read(ReadResults, request.query)
        page = read_results(ports, request.tenant, batch_id, after=query.after, limit=query.limit)
        return Response(
            status=200,
            content_type=JSON_LINES,
            headers={"X-Incomplete": str(page.is_incomplete).lower(), "X-Last-Line": page.cursor},
            body=page.text,
        )

    @router.post(
        "/batches/{batch_id}/retry",
        Operation(
            "retryBatch",
            "Run the lines again that failed, were cancelled or expired, an extension",
            body=RetryBatch,
            may_omit_body=True,
            returns=objects.Batch,
            headers={"Idempotency-Key": "Retries with equal keys create one batch"},
            errors=(409,),
        ),
    )
    def retry(request: Request, batch_id: str) -> Response:
        body = read(RetryBatch, read_json(request.body or b"{}"))
        token = body.token(request.headers.get("idempotency-key"))
        quota = quota_of(request, ports.settings)
        return json_response(batch_object(retry_batch(ports, request.tenant, batch_id, token, quota)))

    return router
