"""Messages in SQS."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from nightlane.domain.shard import ShardMessage
from nightlane.settings import (
    AssembleQueueSettings,
    InferQueueSettings,
    PlanQueueSettings,
    SettingsGroup,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ENTRIES_A_SEND = 10


class NotSent(Exception):
    """SQS did not take every message of a batch."""


class BatchMessage(msgspec.Struct, frozen=True):
    """The body of a message to `plan` or `assemble`."""

    batch_id: str


class SqsQueues:
    """`domain.ports.Queues` on SQS. A function can send only to the queues whose URLs its settings declare.

    Raises:
        UndeclaredSettings: from sending to another queue.
    """

    def __init__(self, client: "SQSClient", settings: SettingsGroup) -> None:
        self._client = client
        self._settings = settings

    def send_plan(self, batch_id: str) -> None:
        self._send(self._settings.need(PlanQueueSettings).plan_queue_url, batch_id)

    def send_assemble(self, batch_id: str) -> None:
        self._send(self._settings.need(AssembleQueueSettings).assemble_queue_url, batch_id)

    def _send(self, queue_url: str, batch_id: str) -> None:
        body = msgspec.json.encode(BatchMessage(batch_id)).decode()
        self._client.send_message(QueueUrl=queue_url, MessageBody=body)

    def send_shards(self, messages: Sequence[ShardMessage], attempt: int) -> None:
        queue_url = self._settings.need(InferQueueSettings).infer_queue_url
        entries = iter([_shard_entry(message, attempt) for message in messages])
        while chosen := list(islice(entries, ENTRIES_A_SEND)):
            answer = self._client.send_message_batch(QueueUrl=queue_url, Entries=chosen)
            if failed := answer.get("Failed"):
                raise NotSent(f"{len(failed)} of {len(chosen)} messages: {failed[0].get('Message')}")


def _shard_entry(message: ShardMessage, attempt: int) -> Any:
    shard = message.shard
    return {
        "Id": str(shard.index),
        "MessageBody": msgspec.json.encode(message).decode(),
        "MessageGroupId": f"{message.batch_id}-{shard.lane}",
        # FIFO drops a repeat within five minutes: a new attempt needs a new id.
        "MessageDeduplicationId": f"{message.batch_id}-{shard.index}-{attempt}",
    }


def read_batch_message(body: str) -> str:
    """The batch id in a message to `plan` or `assemble`. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(body, type=BatchMessage).batch_id


def read_shard_message(body: str) -> ShardMessage:
    """A message to `infer`. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(body, type=ShardMessage)
