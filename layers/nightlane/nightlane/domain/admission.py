"""Admission: at most `max_concurrent_batches` run; the others wait in order of creation."""

from nightlane.domain.batch import Batch
from nightlane.domain.closing import close_if_due
from nightlane.domain.dispatch import dispatch
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Admission, Ports
from nightlane.settings import AdmissionSettings


def admit_waiting(ports: Ports[AdmissionSettings]) -> None:
    """Admit the oldest waiting batches while there is room, and send their shards."""
    limit = ports.settings.max_concurrent_batches
    for batch_id in ports.batches.waiting_batches():
        if len(ports.batches.admitted_batches()) >= limit:
            return
        batch = ports.batches.get_batch(batch_id)
        if batch is None or not batch.is_waiting:
            continue
        now = int(ports.now())
        if now >= batch.expires_at:
            close_if_due(ports, batch_id)
            continue
        admission = ports.batches.admit_batch(batch, limit, now, now + ports.settings.redrive_seconds)
        if admission is Admission.FULL:
            return
        if admission is Admission.ADMITTED:
            ports.metrics.add(Metric.ADMISSION_WAIT, _milliseconds_since_creation(ports, batch))
            dispatch(ports, batch)


def _milliseconds_since_creation(ports: Ports, batch: Batch) -> int:
    # `created_at` is too coarse: it is in whole seconds, and a batch is often admitted within one.
    return max(0, int(ports.now() * 1000) - int(batch.listed.split("#")[0]))
