"""Closing a batch: its workers can no longer commit, and assembly begins."""

from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.ports import Ports
from nightlane.settings import ClosingSettings

# Workers stop at expires_at by themselves, and then have this long to commit their results.
EXPIRY_GRACE_SECONDS = 5


def due_outcome(batch: Batch, now: float, cancel_grace: int, expiry_grace: int = 0) -> Outcome | None:
    """Return the outcome with which to close a batch now; None if it is not due or already closed."""
    if batch.outcome is not None or batch.status.is_terminal:
        return None
    if batch.status is BatchStatus.CANCELLING:
        assert batch.cancelling_at is not None
        is_due = batch.is_drained or now >= batch.cancelling_at + cancel_grace
        return Outcome.CANCELLED if is_due else None
    if batch.status is BatchStatus.IN_PROGRESS and batch.is_drained:
        return Outcome.COMPLETED
    return Outcome.EXPIRED if now >= batch.expires_at + expiry_grace else None


def close_if_due(ports: Ports[ClosingSettings], batch_id: str, expiry_grace: int = 0) -> Batch | None:
    """If the batch is due, close it and send it to assembly. Return the updated batch."""
    while batch := ports.batches.get_batch(batch_id):
        now = ports.now()
        outcome = due_outcome(batch, now, ports.settings.cancel_grace_seconds, expiry_grace)
        if outcome is None:
            return batch
        wake_at = int(now) + ports.settings.redrive_seconds
        drained = outcome is Outcome.COMPLETED
        if ports.batches.close_batch(batch, outcome, int(now), wake_at, drained=drained):
            ports.queues.send_assemble(batch_id)
    return None
