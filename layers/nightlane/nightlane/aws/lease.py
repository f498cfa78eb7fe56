"""The lease on a message that is being worked on."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlane.aws.clients import Clients
from nightlane.domain.ports import Ports

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def holding(clients: Clients, queue_url: str, record: Mapping[str, Any], ports: Ports) -> "Lease":
    """The lease on the message of an SQS event's record."""
    seconds = ports.settings.worker_lease_seconds
    return Lease(clients.sqs, queue_url, record["receiptHandle"], seconds, ports.monotonic)


class Lease:
    """Keeps a message invisible while its worker lives, and not much longer.

    The queue's own visibility outlasts the function's timeout; the lease is renewed every
    third of its length, so a crashed worker is replaced after one lease.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """

    def __init__(
        self,
        client: "SQSClient",
        queue_url: str,
        receipt: str,
        seconds: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._queue_url = queue_url
        self._receipt = receipt
        self._seconds = seconds
        self._monotonic = monotonic
        self._valid_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._extend(self._seconds)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def is_held(self) -> bool:
        """False once it could not be renewed in time: another worker may have the message."""
        return self._monotonic() < self._valid_until

    def hand_back(self, delay_seconds: int) -> None:
        """Make the message visible again after the delay, once the lease has ended."""
        self._ended.set()
        self._thread.join()
        self._extend(delay_seconds)

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            self._extend(self._seconds)

    def _extend(self, seconds: int) -> None:
        asked_at = self._monotonic()
        try:
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=self._receipt, VisibilityTimeout=seconds
            )
        except (ClientError, BotoCoreError):
            return
        # A margin, so that the last request ends before another worker can begin.
        self._valid_until = asked_at + seconds * 0.8
