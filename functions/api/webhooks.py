"""/v1/webhook_endpoints and /v1/webhook_event_types"""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.http import body_of, json_response, tenant_of
from functions.api.operation import Operation
from nightlane.domain.ports import Ports
from nightlane.domain.webhooks import (
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    rotate_secret,
    send_test_event,
    update_endpoint,
)
from nightlane.settings import ApiSettings
from nightlane.wire import webhook_objects as objects
from nightlane.wire.requests import read, read_json
from nightlane.wire.responses import page
from nightlane.wire.webhooks import (
    CreateWebhookEndpoint,
    ListWebhookEndpoints,
    RotateWebhookSecret,
    SendTestEvent,
    UpdateWebhookEndpoint,
    deleted_endpoint,
    endpoint_object,
    endpoint_with_secret,
    event_type_of,
    event_types_list,
    event_types_of,
    test_result,
)


def routes(ports: Ports[ApiSettings]) -> APIGatewayRouter:
    router = APIGatewayRouter()

    @router.post("/webhook_endpoints")
    @Operation(
        "createWebhookEndpoint",
        "Create a webhook endpoint",
        body=CreateWebhookEndpoint,
        returns=objects.WebhookEndpointWithSecret,
    )
    def create() -> Response[str]:
        request = read(CreateWebhookEndpoint, _json(router))
        types = event_types_of(request.event_types)
        tenant = tenant_of(router.current_event)
        endpoint = create_endpoint(ports, tenant, request.name, request.url, types)
        return json_response(endpoint_with_secret(endpoint))

    @router.get("/webhook_endpoints")
    @Operation(
        "listWebhookEndpoints",
        "List the webhook endpoints, newest first",
        query=ListWebhookEndpoints,
        returns=objects.WebhookEndpointPage,
        errors=(404,),
    )
    def index() -> Response[str]:
        event = router.current_event
        query = read(ListWebhookEndpoints, event.query_string_parameters)
        found = list_endpoints(ports, tenant_of(event), after=query.after, limit=query.limit)
        return json_response(page(found, query.limit, endpoint_object))

    @router.get("/webhook_endpoints/<endpoint_id>")
    @Operation("retrieveWebhookEndpoint", "Retrieve a webhook endpoint", returns=objects.WebhookEndpoint)
    def retrieve(endpoint_id: str) -> Response[str]:
        return json_response(
            endpoint_object(get_endpoint(ports, tenant_of(router.current_event), endpoint_id))
        )

    @router.post("/webhook_endpoints/<endpoint_id>")
    @Operation(
        "updateWebhookEndpoint",
        "Change a webhook endpoint",
        body=UpdateWebhookEndpoint,
        returns=objects.WebhookEndpoint,
        errors=(409,),
    )
    def update(endpoint_id: str) -> Response[str]:
        request = read(UpdateWebhookEndpoint, _json(router))
        endpoint = update_endpoint(
            ports,
            tenant_of(router.current_event),
            endpoint_id,
            name=request.name,
            url=request.url,
            event_types=None if request.event_types is None else event_types_of(request.event_types),
        )
        return json_response(endpoint_object(endpoint))

    @router.delete("/webhook_endpoints/<endpoint_id>")
    @Operation("deleteWebhookEndpoint", "Delete a webhook endpoint", returns=objects.DeletedWebhookEndpoint)
    def delete(endpoint_id: str) -> Response[str]:
        delete_endpoint(ports, tenant_of(router.current_event), endpoint_id)
        return json_response(deleted_endpoint(endpoint_id))

    @router.post("/webhook_endpoints/<endpoint_id>/rotate_secret")
    @Operation(
        "rotateWebhookEndpointSecret",
        "Replace the signing secret of a webhook endpoint",
        body=RotateWebhookSecret,
        returns=objects.WebhookEndpointWithSecret,
        errors=(409,),
    )
    def rotate(endpoint_id: str) -> Response[str]:
        keep_old = read(RotateWebhookSecret, _json(router)).keep_old_secret_active_for_24_hours
        endpoint = rotate_secret(ports, tenant_of(router.current_event), endpoint_id, keep_old=keep_old)
        return json_response(endpoint_with_secret(endpoint))

    @router.post("/webhook_endpoints/<endpoint_id>/test")
    @Operation(
        "testWebhookEndpoint",
        "Send a sample event to a webhook endpoint",
        body=SendTestEvent,
        returns=objects.WebhookEndpointTest,
    )
    def test(endpoint_id: str) -> Response[str]:
        event_type = event_type_of(read(SendTestEvent, _json(router)).event_type)
        status = send_test_event(ports, tenant_of(router.current_event), endpoint_id, event_type)
        return json_response(test_result(endpoint_id, event_type, status))

    @router.get("/webhook_event_types")
    @Operation("listWebhookEventTypes", "List the event types", returns=objects.WebhookEventTypes)
    def event_types() -> Response[str]:
        return json_response(event_types_list())

    return router


def _json(router: APIGatewayRouter) -> Any:
    """Return the JSON of the body; a body may be left out if all of its members may."""
    return read_json(body_of(router.current_event) or b"{}")
