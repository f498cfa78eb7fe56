"""/v1/webhook_endpoints and /v1/webhook_event_types"""

from typing import Any

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings
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


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()

    @router.post(
        "/webhook_endpoints",
        Operation(
            "createWebhookEndpoint",
            "Create a webhook endpoint",
            body=CreateWebhookEndpoint,
            returns=objects.WebhookEndpointWithSecret,
        ),
    )
    def create(request: Request) -> Response:
        body = read(CreateWebhookEndpoint, _json(request))
        types = event_types_of(body.event_types)
        tenant = request.tenant
        endpoint = create_endpoint(ports, tenant, body.name, body.url, types)
        return json_response(endpoint_with_secret(endpoint))

    @router.get(
        "/webhook_endpoints",
        Operation(
            "listWebhookEndpoints",
            "List the webhook endpoints, newest first",
            query=ListWebhookEndpoints,
            returns=objects.WebhookEndpointPage,
            errors=(404,),
        ),
    )
    def index(request: Request) -> Response:
        query = read(ListWebhookEndpoints, request.query)
        found = list_endpoints(ports, request.tenant, after=query.after, limit=query.limit)
        return json_response(page(found, query.limit, endpoint_object))

    @router.get(
        "/webhook_endpoints/{endpoint_id}",
        Operation("retrieveWebhookEndpoint", "Retrieve a webhook endpoint", returns=objects.WebhookEndpoint),
    )
    def retrieve(request: Request, endpoint_id: str) -> Response:
        return json_response(endpoint_object(get_endpoint(ports, request.tenant, endpoint_id)))

    @router.post(
        "/webhook_endpoints/{endpoint_id}",
        Operation(
            "updateWebhookEndpoint",
            "Change a webhook endpoint",
            body=UpdateWebhookEndpoint,
            returns=objects.WebhookEndpoint,
            errors=(409,),
        ),
    )
    def update(request: Request, endpoint_id: str) -> Response:
        body = read(UpdateWebhookEndpoint, _json(request))
        endpoint = update_endpoint(
            ports,
            request.tenant,
            endpoint_id,
            name=body.name,
            url=body.url,
            event_types=None if body.event_types is None else event_types_of(body.event_types),
        )
        return json_response(endpoint_object(endpoint))

    @router.delete(
        "/webhook_endpoints/{endpoint_id}",
        Operation(
            "deleteWebhookEndpoint", "Delete a webhook endpoint", returns=objects.DeletedWebhookEndpoint
        ),
    )
    def delete(request: Request, endpoint_id: str) -> Response:
        delete_endpoint(ports, request.tenant, endpoint_id)
        return json_response(deleted_endpoint(endpoint_id))

    @router.post(
        "/webhook_endpoints/{endpoint_id}/rotate_secret",
        Operation(
            "rotateWebhookEndpointSecret",
            "Replace the signing secret of a webhook endpoint",
            body=RotateWebhookSecret,
            returns=objects.WebhookEndpointWithSecret,
            errors=(409,),
        ),
    )
    def rotate(request: Request, endpoint_id: str) -> Response:
        keep_old = read(RotateWebhookSecret, _json(request)).keep_old_secret_active_for_24_hours
        endpoint = rotate_secret(ports, request.tenant, endpoint_id, keep_old=keep_old)
        return json_response(endpoint_with_secret(endpoint))

    @router.post(
        "/webhook_endpoints/{endpoint_id}/test",
        Operation(
            "testWebhookEndpoint",
            "Send a sample event to a webhook endpoint",
            body=SendTestEvent,
            returns=objects.WebhookEndpointTest,
        ),
    )
    def test(request: Request, endpoint_id: str) -> Response:
        event_type = event_type_of(read(SendTestEvent, _json(request)).event_type)
        status = send_test_event(ports, request.tenant, endpoint_id, event_type)
        return json_response(test_result(endpoint_id, event_type, status))

    @router.get(
        "/webhook_event_types",
        Operation("listWebhookEventTypes", "List the event types", returns=objects.WebhookEventTypes),
    )
    def event_types(_: Request) -> Response:
        return json_response(event_types_list())

    return router


def _json(request: Request) -> Any:
    """Return the JSON of the body; a body may be left out if all of its members may."""
    return read_json(request.body or b"{}")
