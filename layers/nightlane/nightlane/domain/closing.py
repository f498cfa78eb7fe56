"""Closing: the one decision that shuts out the workers and hands a batch to assembly."""

from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.ports import Ports
from nightlane.settings import ClosingSettings

# Workers stop by themselves at expires_at; they get this long to commit what they have.
EXPIRY_GRACE_SECONDS = 5


def due_outcome(batch: Batch, now: float, cancel_grace: int, expiry_grace: int = 0) -> Outcome | None:
    """How an open batch must be closed now; None if it must not, or was closed before."""
    if batch.outcome is not None or batch.status.is_terminal:
        return None
    if batch.status is BatchStatus.CANCELLING:
        assert batch.cancelling_at is not None
        over = batch.is_drained or now >= batch.cancelling_at + cancel_grace
        return Outcome.CANCELLED if over else None
    if batch.status is BatchStatus.IN_PROGRESS and batch.is_drained:
        return Outcome.COMPLETED
    return Outcome.EXPIRED if now >= batch.expires_at + expiry_grace else None


def close_if_due(ports: Ports[ClosingSettings], batch_id: str, expiry_grace: int = 0) -> Batch | None:
    """Close the batch if its time has come and send it to assembly; answers it as it now is."""
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
