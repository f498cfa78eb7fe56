"""Leases on SQS messages."""

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
    """Leases on the messages of one queue, `seconds` long.

    The queue's own visibility timeout is longer than the function's timeout; a lease shortens it.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """

    client: "SQSClient"
    queue_url: str
    seconds: int
    monotonic: Callable[[], float] = time.monotonic

    def on(self, record: Mapping[str, Any]) -> Lease:
        """Return a lease on the message of a record in an SQS event."""
        return Lease(self.extending(record), self.seconds, self.monotonic)

    def extending(self, record: Mapping[str, Any]) -> Callable[[int], bool]:
        """Return a function that hides the message for a number of seconds, and returns False on failure."""

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
