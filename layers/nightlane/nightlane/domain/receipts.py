"""The receipt of a batch, an extension: what it took, from what its own record says."""

from dataclasses import dataclass

from nightlane.domain.batch import Batch
from nightlane.domain.batches import get_batch
from nightlane.domain.ports import Ports
from nightlane.resource_settings import PlanQueueSettings


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a batch took so far; times are in seconds."""

    batch: Batch
    waiting_seconds: int
    """From its creation to its admission: validating, and waiting for a slot."""
    running_seconds: int
    """From its admission until its last line had a result, or it was closed."""
    is_estimate: bool
    """It ran on one machine, so its calls to AWS are those that it would have made there."""


def get_receipt(ports: Ports[PlanQueueSettings], tenant: str, batch_id: str) -> Receipt:
    """Return the receipt of a batch of the tenant. Raises: NotFound, BadRequest."""
    batch = get_batch(ports, tenant, batch_id)
    ended_at = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.failed_at
    now = ended_at or int(ports.now())
    began_at = now if batch.in_progress_at is None else batch.in_progress_at
    return Receipt(
        batch=batch,
        waiting_seconds=max(0, began_at - batch.created_at),
        running_seconds=max(0, (batch.finalizing_at or now) - began_at),
        # Only on AWS are there queues with URLs.
        is_estimate=not ports.settings.plan_queue_url,
    )
