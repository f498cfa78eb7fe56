"""Leases on messages of SQS."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlane.lease import Lease

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Leases:
    """Leases on the messages of one queue, each of `seconds`.

    The queue's own visibility outlasts the function's timeout; a lease shortens it.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """

    client: "SQSClient"
    queue_url: str
    seconds: int
    monotonic: Callable[[], float] = time.monotonic

    def on(self, record: Mapping[str, Any]) -> Lease:
        """The lease on the message of an SQS event's record."""
        return Lease(self.extending(record), self.seconds, self.monotonic)

    def extending(self, record: Mapping[str, Any]) -> Callable[[int], bool]:
        """A function that extends that lease by so many seconds; it returns False if that failed."""

        def extend(seconds: int) -> bool:
            try:
                self.client.change_message_visibility(
                    QueueUrl=self.queue_url,
                    ReceiptHandle=record["receiptHandle"],
                    VisibilityTimeout=seconds,
                )
            except (ClientError, BotoCoreError):
                return False
            return True

        return extend
