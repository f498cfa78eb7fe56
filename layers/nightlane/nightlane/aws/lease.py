"""Leases on messages of SQS."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlane.aws.clients import Clients
from nightlane.domain.ports import Ports
from nightlane.lease import Lease


def holding(clients: Clients, queue_url: str, record: Mapping[str, Any], ports: Ports) -> Lease:
    """The lease on the message of an SQS event's record."""
    return Lease(extending(clients, queue_url, record), ports.settings.worker_lease_seconds, ports.monotonic)


def extending(clients: Clients, queue_url: str, record: Mapping[str, Any]) -> Callable[[int], bool]:
    """How the lease on a record's message is extended.

    The queue's own visibility outlasts the function's timeout; a lease shortens it.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """

    def extend(seconds: int) -> bool:
        try:
            clients.sqs.change_message_visibility(
                QueueUrl=queue_url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=seconds
            )
        except (ClientError, BotoCoreError):
            return False
        return True

    return extend
