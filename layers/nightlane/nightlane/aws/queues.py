"""SQS messages."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from nightlane.domain.shard import LaneMessage
from nightlane.resource_settings import (
    AssembleQueueSettings,
    InferQueueSettings,
    NotifyQueueSettings,
    PlanQueueSettings,
)
from nightlane.settings_group import SettingsGroup

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_ENTRIES_PER_SEND = 10


class NotSent(Exception):
    """SQS did not accept every message of a SendMessageBatch call."""


class BatchMessage(msgspec.Struct, frozen=True):
    """The body of a message to `plan` or `assemble`."""

    batch_id: str


class EventMessage(msgspec.Struct, frozen=True):
    """The body of a message to `notify`."""

    event_id: str


class SqsQueues:
    """`domain.ports.Queues` on SQS. A function can send only to the queues whose URLs its settings declare.

    Raises:
        UndeclaredSettings: on sending to any other queue.
    """

    def __init__(self, client: "SQSClient", settings: SettingsGroup) -> None:
        self._client = client
        self._settings = settings

    def send_plan(self, batch_id: str) -> None:
        self._send(self._settings.need(PlanQueueSettings).plan_queue_url, BatchMessage(batch_id))

    def send_assemble(self, batch_id: str) -> None:
        self._send(self._settings.need(AssembleQueueSettings).assemble_queue_url, BatchMessage(batch_id))

    def send_event(self, event_id: str) -> None:
        self._send(self._settings.need(NotifyQueueSettings).notify_queue_url, EventMessage(event_id))

    def _send(self, queue_url: str, message: BatchMessage | EventMessage) -> None:
        body = msgspec.json.encode(message).decode()
        self._client.send_message(QueueUrl=queue_url, MessageBody=body)

    def send_lanes(self, messages: Sequence[LaneMessage], attempt: int) -> None:
        queue_url = self._settings.need(InferQueueSettings).infer_queue_url
        entries = iter([_lane_entry(message, attempt) for message in messages])
        while chunk := list(islice(entries, MAX_ENTRIES_PER_SEND)):
            response = self._client.send_message_batch(QueueUrl=queue_url, Entries=chunk)
            if failed := response.get("Failed"):
                raise NotSent(f"{len(failed)} of {len(chunk)} messages: {failed[0].get('Message')}")


def _lane_entry(message: LaneMessage, attempt: int) -> Any:
    return {
        "Id": str(message.lane),
        "MessageBody": msgspec.json.encode(message).decode(),
        "MessageGroupId": f"{message.batch_id}-{message.lane}",
        # A FIFO queue drops duplicates for five minutes, so a new attempt needs a new id.
        "MessageDeduplicationId": f"{message.batch_id}-{message.lane}-{attempt}",
    }


def read_batch_message(body: str) -> str:
    """Return the batch id in a message to `plan` or `assemble`. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(body, type=BatchMessage).batch_id


def read_event_message(body: str) -> str:
    """Return the event id in a message to `notify`. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(body, type=EventMessage).event_id


def read_lane_message(body: str) -> LaneMessage:
    """Decode a message to `infer`. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(body, type=LaneMessage)


def read_dead_letter(body: str) -> LaneMessage | BatchMessage | EventMessage:
    """Decode a message that was given up, whichever queue it was sent to. Raises: msgspec.DecodeError."""
    fields = msgspec.json.decode(body, type=dict[str, Any])
    if "event_id" in fields:
        return msgspec.convert(fields, EventMessage)
    if "lane" in fields:
        return msgspec.convert(fields, LaneMessage)
    return msgspec.convert(fields, BatchMessage)
