"""The interfaces that webhooks need: their stores, and what sends the events."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from nightlane.domain.webhook import Event, Health, WebhookEndpoint


class EndpointStore(Protocol):
    """The endpoints of all tenants. An endpoint is only ever found with the name of its tenant."""

    def create_endpoint(self, endpoint: WebhookEndpoint, limit: int) -> bool:
        """Store a new endpoint; False if the tenant has `limit` of them."""

    def get_endpoint(self, tenant: str, endpoint_id: str) -> WebhookEndpoint | None:
        """Return an endpoint, read consistently."""

    def list_endpoints(self, tenant: str) -> list[WebhookEndpoint]:
        """Return all endpoints of a tenant, newest first, read consistently."""

    def change_endpoint(self, endpoint: WebhookEndpoint) -> bool:
        """Store what the tenant can set; False if it is gone, or not of the version before."""

    def delete_endpoint(self, tenant: str, endpoint_id: str) -> bool:
        """Delete an endpoint; False if there is none."""

    def note_health(self, endpoint: WebhookEndpoint, health: Health) -> bool:
        """Replace the health; False if it is gone, or its health is no longer as it was read."""


class DueEvent(msgspec.Struct, frozen=True):
    """An event that the sweeper found, and the time that it was due."""

    id: str
    wake_at: int


class EventStore(Protocol):
    """The outbox. `StepStore` puts an event into it, in the transaction that ends a batch."""

    def get_event(self, event_id: str) -> Event | None:
        """Return an event, read consistently; None if every destination has it."""

    def save_event(self, event: Event) -> bool:
        """Replace the state of an event; False if it is gone, or not of the version before."""

    def forget_event(self, event_id: str) -> None:
        """Remove an event, if it exists."""

    def due_events(self, now: int, limit: int) -> Iterator[DueEvent]:
        """Yield events that should be delivered now, those that are due longest first."""

    def postpone_event(self, due: DueEvent, wake_at: int) -> None:
        """Look at an event again later, unless it has changed."""


class Delivery(msgspec.Struct, frozen=True):
    """One attempt to send an event to an endpoint. `at` is the time of the attempt."""

    endpoint: WebhookEndpoint
    event: Event
    webhook_id: str
    """The same for every attempt, so that the receiver can drop duplicates."""
    at: int


class Receipt(msgspec.Struct, frozen=True):
    """What an endpoint answered: its status, or why there was none."""

    status: int | None
    problem: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender(Protocol):
    """Sends webhooks."""

    def __call__(self, deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
        """Send all at once, each for a few seconds at most; return what was answered, in the same order.

        With `allow_private`, addresses that are not public and plain HTTP are allowed.
        """


class Bus(Protocol):
    """Publishes events to an event bus of the operator."""

    def __call__(self, event: Event) -> None:
        """Raises an exception if the event was not accepted."""


class Webhooks(msgspec.Struct, frozen=True):
    """Everything about webhooks that is outside the domain."""

    endpoints: EndpointStore
    events: EventStore
    send: Sender
    bus: Bus | None = None
