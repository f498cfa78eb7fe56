"""The types of OpenAI's objects for webhooks, which the OpenAPI document is made from.

Source: `openai.types.webhooks` of openai-python 3.54.0
"""

from typing import Literal

# Pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

from nightlane.domain.webhook import EventType
from nightlane.wire.objects import Page


class WebhookEndpoint(TypedDict):
    """A URL that gets events, signed with a secret of which only the last characters are shown."""

    id: str
    object: Literal["webhook_endpoint"]
    name: str
    url: str
    event_types: list[EventType]
    created_at: int
    updated_at: int
    signing_secret_hint: str


class WebhookEndpointWithSecret(WebhookEndpoint):
    """An endpoint whose secret is new. It is not shown again."""

    signing_secret: str


class WebhookEndpointPage(Page[WebhookEndpoint]):
    """A page of webhook endpoints."""


class DeletedWebhookEndpoint(TypedDict):
    """Confirms that an endpoint was deleted."""

    id: str
    object: Literal["webhook_endpoint.deleted"]
    deleted: Literal[True]


class WebhookEndpointTest(TypedDict):
    """The endpoint answered a sample event. `success` is true whatever the status."""

    object: Literal["webhook_endpoint.test"]
    webhook_endpoint_id: str
    event_type: EventType
    success: Literal[True]
    status_code: int


class WebhookEventTypes(TypedDict):
    """The event types that an endpoint can have."""

    object: Literal["list"]
    data: list[EventType]
