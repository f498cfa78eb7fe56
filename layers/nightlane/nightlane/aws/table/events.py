"""The outbox. An event is put into it in the transaction that ends its batch, until everybody has it."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from nightlane.aws.table.connection import Connection, Item, Key
from nightlane.domain.webhook import EVENT_SECONDS, Attempts, Event, EventType
from nightlane.domain.webhook_ports import DueEvent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A partition of the sweeper's index, apart from those of batches and files.
EVENTS_PARTITION = "EVENTS"


class DynamoEvents:
    """`domain.webhook_ports.EventStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def get_event(self, event_id: str) -> Event | None:
        item = self._table.get(event_key(event_id))
        return _event_from_item(item) if item else None

    def save_event(self, event: Event) -> bool:
        values = _state_of(event)
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        values |= {"before": event.version - 1}
        return self._table.update_if(event_key(event.id), expression, values, "#version = :before")

    def forget_event(self, event_id: str) -> None:
        self._table.delete(event_key(event_id))

    def due_events(self, now: int, limit: int) -> Iterator[DueEvent]:
        found = self._table.query(
            "#active = :partition AND #wake_at <= :now",
            {"partition": EVENTS_PARTITION, "now": now},
            index="by_wake",
            page=limit,
        )
        for item in islice(found, limit):
            yield DueEvent(item["pk"].removeprefix("EVENT#"), int(item["wake_at"]))

    def postpone_event(self, due: DueEvent, wake_at: int) -> None:
        values = {"wake_at": wake_at, "seen": due.wake_at}
        self._table.update_if(event_key(due.id), "SET #wake_at = :wake_at", values, "#wake_at = :seen")


def event_key(event_id: str) -> Key:
    return Key(f"EVENT#{event_id}", "EVENT")


def event_to_item(event: Event) -> Item:
    """Return the item of an event, for the transaction that ends its batch."""
    key = event_key(event.id)
    return _state_of(event) | {
        "pk": key.pk,
        "sk": key.sk,
        "active": EVENTS_PARTITION,
        "tenant": event.tenant,
        "type": event.type.value,
        "batch_id": event.batch_id,
        "created_at": event.created_at,
        "ttl": event.created_at + EVENT_SECONDS,
    }


def _state_of(event: Event) -> Item:
    """Return the attributes that deliveries change."""
    state: Item = {"version": event.version, "held_until": event.held_until, "wake_at": event.wake_at}
    if event.pending is not None:
        state["pending"] = {key: [each.count, each.next_at] for key, each in event.pending.items()}
    return state


def _event_from_item(item: Mapping[str, Any]) -> Event:
    pending = item.get("pending")
    return Event(
        id=item["pk"].removeprefix("EVENT#"),
        tenant=item["tenant"],
        type=EventType(item["type"]),
        batch_id=item["batch_id"],
        created_at=int(item["created_at"]),
        version=int(item["version"]),
        held_until=int(item["held_until"]),
        pending=None
        if pending is None
        else {key: Attempts(int(count), int(next_at)) for key, (count, next_at) in pending.items()},
    )
