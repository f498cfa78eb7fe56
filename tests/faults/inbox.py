"""Webhook endpoints that check what they get: at least once, and never a status that was not committed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nightlane.domain.batch import Batch
from nightlane.domain.webhook import EventType, WebhookEndpoint
from nightlane.domain.webhook_ports import Delivery, EndpointStore, Receipt

TENANT = "acme"
NAMES = ("good", "flaky")
"""The flaky one refuses each event once."""


@dataclass
class Inbox:
    """`domain.webhook_ports.Sender` for two endpoints."""

    batch: Callable[[str], Batch | None]
    """Reads a batch as it is stored."""
    violations: list[str]
    accepted: dict[tuple[str, str], list[EventType]] = field(default_factory=dict)
    """The events that were accepted, by batch and endpoint."""
    _ids: dict[tuple[str, str], str] = field(default_factory=dict)
    _refused: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
        assert not allow_private
        return [self._receive(each) for each in deliveries]

    def _receive(self, delivery: Delivery) -> Receipt:
        event, name = delivery.event, delivery.endpoint.name
        key = (event.batch_id, name)
        batch = self.batch(event.batch_id)
        if batch is None or event.type != f"batch.{batch.status}":
            self.violations.append(f"{event.type} was sent, but the batch is {batch and batch.status}")
        if self._ids.setdefault(key, delivery.webhook_id) != delivery.webhook_id:
            self.violations.append(f"another id for the same event: {delivery.webhook_id}")
        if name == "flaky" and key not in self._refused:
            self._refused.add(key)
            return Receipt(500)
        self.accepted.setdefault(key, []).append(event.type)
        return Receipt(204)

    def check_end(self, batch: Batch) -> None:
        """Check that each endpoint has accepted the event of a batch."""
        for name in NAMES:
            types = set(self.accepted.get((batch.id, name), []))
            assert types == {f"batch.{batch.status}"}, f"{name} got {types} of a batch that is {batch.status}"


def create_missing_endpoints(store: EndpointStore) -> None:
    """Create the two endpoints, unless they exist."""
    existing = {each.id for each in store.list_endpoints(TENANT)}
    for name in NAMES:
        if f"we_{name}" not in existing:
            store.create_endpoint(_endpoint(name), len(NAMES))


def _endpoint(name: str) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=f"we_{name}",
        tenant=TENANT,
        name=name,
        url=f"https://{name}.test/",
        event_types=tuple(EventType),
        created_at=1,
        updated_at=1,
        listed=f"1#{name}",
        secret="whsec_AAAA",
    )
