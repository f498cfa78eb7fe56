"""Webhooks: the endpoints of a tenant, and the events that are sent to them.

Source: https://platform.openai.com/docs/guides/webhooks and `client.webhooks` of the official clients
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from nightlane.domain.batch import Batch, BatchStatus

EVENT_SECONDS = 4 * 86_400
"""An event is forgotten after this, whatever happens; its last attempt is a day earlier."""
# The function that ended the batch sends the event at once. The sweeper sends those that it could not.
FIRST_SWEEP_SECONDS = 30


class EventType(StrEnum):
    """One event for each terminal status of a batch, and none for the others."""

    COMPLETED = "batch.completed"
    FAILED = "batch.failed"
    EXPIRED = "batch.expired"
    CANCELLED = "batch.cancelled"


class Health(msgspec.Struct, frozen=True):
    """How an endpoint has answered: failures in a row, and until when it is left alone because of them."""

    failures: int = 0
    rests_until: int = 0


HEALTHY = Health()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """Where a tenant wants its events. Times are seconds since 1970."""

    id: str
    tenant: str
    name: str
    url: str
    event_types: tuple[EventType, ...]
    created_at: int
    updated_at: int
    listed: str
    """Sort key in the tenant's list: creation in milliseconds, then the id."""
    secret: str = field(repr=False)
    """Signs the deliveries, so it is stored as it is: `whsec_` and base64."""
    previous_secret: str = field(default="", repr=False)
    previous_until: int = 0
    """Until when the previous secret signs, too."""
    version: int = 1
    """Raised by each change of what the tenant can set, so that no change is lost."""
    health: Health = HEALTHY

    def secrets(self, now: int) -> tuple[str, ...]:
        """Return the secrets that sign now, the newest first."""
        is_valid = self.previous_secret and now < self.previous_until
        return (self.secret, self.previous_secret) if is_valid else (self.secret,)

    @property
    def secret_hint(self) -> str:
        return f"whsec_****{self.secret[-4:]}"


class Attempts(msgspec.Struct, frozen=True):
    """How often an event was sent to a destination, and when it is sent again."""

    count: int
    next_at: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the outbox: it exists until every destination has it, or was given up."""

    id: str
    tenant: str
    type: EventType
    batch_id: str
    created_at: int
    """When the batch ended."""
    version: int = 0
    held_until: int = 0
    """Until when a function that is delivering it keeps others away."""
    pending: Mapping[str, Attempts] | None = None
    """By endpoint; None until it is first delivered."""

    @property
    def wake_at(self) -> int:
        """When the sweeper should look at it, in seconds since 1970."""
        if self.held_until:
            return self.held_until
        if self.pending is None:
            return self.created_at + FIRST_SWEEP_SECONDS
        return self._next_at

    def is_due(self, now: int) -> bool:
        """Whether there is something to send now, and nobody else is doing so."""
        return now >= self.held_until and now >= self._next_at

    @property
    def _next_at(self) -> int:
        return 0 if self.pending is None else min(each.next_at for each in self.pending.values())


def event_of(batch: Batch, status: BatchStatus, at: int) -> Event:
    """Return the event of a batch that reaches a terminal status. Written in the same transaction."""
    return Event(
        id=event_id_of(batch.id),
        tenant=batch.tenant,
        type=EventType(f"batch.{status}"),
        batch_id=batch.id,
        created_at=at,
    )


def event_id_of(batch_id: str) -> str:
    """Return the id of a batch's only event."""
    return f"evt_{batch_id.removeprefix('batch_')}"
