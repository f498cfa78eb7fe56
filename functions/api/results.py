"""/v1/batches/{id}/results: what is answered so far, an extension."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import tenant_of
from nightlane.domain.ports import Ports
from nightlane.domain.results import read_results
from nightlane.settings import ApiSettings
from nightlane.wire.requests import ReadResults, read

JSON_LINES = "application/x-ndjson"


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.get("/<batch_id>/results")
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

    return router
