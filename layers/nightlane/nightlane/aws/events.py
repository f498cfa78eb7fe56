"""Publishes the events of batches to an EventBridge bus of the operator.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import json

import msgspec

from nightlane.aws.clients import Clients
from nightlane.domain.webhook import Event

SOURCE = "nightlane"


class NotPublished(Exception):
    """EventBridge did not accept an event."""


class EventBridge(msgspec.Struct, frozen=True):
    """`domain.webhook_ports.Bus`; `bus` is a name or an ARN."""

    clients: Clients
    bus: str

    def __call__(self, event: Event) -> None:
        detail = {
            "id": event.id,
            "created_at": event.created_at,
            "tenant": event.tenant,
            "data": {"id": event.batch_id},
        }
        response = self.clients.events.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": event.type.value,
                    "Detail": json.dumps(detail),
                    "EventBusName": self.bus,
                }
            ]
        )
        if response["FailedEntryCount"]:
            (entry,) = response["Entries"]
            raise NotPublished(f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
