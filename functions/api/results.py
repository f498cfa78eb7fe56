"""/v1/batches/{id}/results and …/retry: what is answered so far, and what failed once more. Extensions."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import body_of, json_response, tenant_of
from functions.api.operation import Operation
from functions.api.quotas import quota_of
from nightlane.domain.ports import Ports
from nightlane.domain.results import read_results
from nightlane.domain.retry import retry_batch
from nightlane.settings import ApiSettings
from nightlane.wire import objects
from nightlane.wire.requests import ReadResults, RetryBatch, read, read_json
from nightlane.wire.responses import batch_object

JSON_LINES = "application/x-ndjson"


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/<batch_id>/results")
    @Operation(
        "listBatchResults",
        "Read the results so far, an extension; X-Last-Line is the next page's `after`",
        query=ReadResults,
        content=JSON_LINES,
    )
    def results(batch_id: str) -> Response[str]:
        event = router.current_event
        query = read(ReadResults, event.query_string_parameters)
        page = read_results(ports, tenant_of(event), batch_id, after=query.after, limit=query.limit)
        return Response(
            status_code=200,
            content_type=JSON_LINES,
            headers={"X-Incomplete": str(page.is_incomplete).lower(), "X-Last-Line": page.cursor},
            body=page.text,
        )

    @router.post("/<batch_id>/retry")
    @Operation(
        "retryBatch",
        "Run the lines again that failed, were cancelled or expired, an extension",
        body=RetryBatch,
        may_omit_body=True,
        returns=objects.Batch,
        headers={"Idempotency-Key": "Retries with equal keys create one batch"},
        errors=(409,),
    )
    def retry(batch_id: str) -> Response[str]:
        event = router.current_event
        request = read(RetryBatch, read_json(body_of(event) or b"{}"))
        token = request.token(event.headers.get("idempotency-key"))
        quota = quota_of(event, ports.settings)
        return json_response(batch_object(retry_batch(ports, tenant_of(event), batch_id, token, quota)))

    return router
