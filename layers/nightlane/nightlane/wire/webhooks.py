"""Requests about webhook endpoints, and the objects of the responses.

Source: `openai.types.webhooks` of openai-python 3.54.0
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from nightlane.domain.errors import BadRequest
from nightlane.domain.webhook import EventType, WebhookEndpoint
from nightlane.domain.webhooks import MAX_URL_LENGTH
from nightlane.wire import webhook_objects as objects
from nightlane.wire.requests import Query, Request

EVENT_TYPES = tuple(each.value for each in EventType)
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Url = Annotated[str, Field(json_schema_extra={"format": "uri", "maxLength": MAX_URL_LENGTH})]
# Only for the OpenAPI document: `event_type_of` refuses others, in OpenAI's words.
EventTypeName = Annotated[str, Field(json_schema_extra={"enum": [*EVENT_TYPES]})]
EventTypeNames = Annotated[list[EventTypeName], Field(json_schema_extra={"minItems": 1})]


class CreateWebhookEndpoint(Request):
    """A URL that gets the events of these types."""

    name: Name
    url: Url
    event_types: EventTypeNames


class UpdateWebhookEndpoint(Request):
    """What is left out stays as it is."""

    name: Name | None = None
    url: Url | None = None
    event_types: EventTypeNames | None = None


class RotateWebhookSecret(Request):
    """With `keep_…`, deliveries are signed with the old secret, too."""

    keep_old_secret_active_for_24_hours: bool = False


class SendTestEvent(Request):
    """A sample of this type is sent, whatever types the endpoint has."""

    event_type: EventTypeName


class ListWebhookEndpoints(Query):
    after: str | None = None
    limit: Annotated[int, Field(ge=0, le=100)] = 20


def event_types_of(names: Sequence[str]) -> tuple[EventType, ...]:
    """Return the event types of these names. Raises: BadRequest, if there are none, or one is unknown."""
    if not names:
        message = "Invalid 'event_types': at least one event type is needed."
        raise BadRequest(message, code="invalid_value", param="event_types")
    return tuple(event_type_of(name, "event_types") for name in names)


def event_type_of(name: str, param: str = "event_type") -> EventType:
    """Return the event type of this name. Raises: BadRequest."""
    if name not in EVENT_TYPES:
        message = f"Invalid value: '{name[:100]}'. Supported values are: {', '.join(EVENT_TYPES)}."
        raise BadRequest(message, code="invalid_value", param=param)
    return EventType(name)


def endpoint_object(endpoint: WebhookEndpoint) -> objects.WebhookEndpoint:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "signing_secret_hint": endpoint.secret_hint,
    }


def endpoint_with_secret(endpoint: WebhookEndpoint) -> objects.WebhookEndpointWithSecret:
    """Only for the responses to create and rotate."""
    return {**endpoint_object(endpoint), "signing_secret": endpoint.secret}


def deleted_endpoint(endpoint_id: str) -> objects.DeletedWebhookEndpoint:
    return {"id": endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True}


def test_result(endpoint_id: str, event_type: EventType, status: int) -> objects.WebhookEndpointTest:
    return {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": endpoint_id,
        "event_type": event_type,
        # Not whether the status is a success, but that there was one.
        "success": True,
        "status_code": status,
    }


def event_types_list() -> objects.WebhookEventTypes:
    return {"object": "list", "data": list(EventType)}
