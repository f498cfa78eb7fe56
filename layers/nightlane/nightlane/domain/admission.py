"""Admission: at most `max_concurrent_batches` run; the others wait for their turn."""

from nightlane.domain.admission_order import Slots, Waiting, next_batch
from nightlane.domain.batch import Batch
from nightlane.domain.closing import close_if_due
from nightlane.domain.dispatch import dispatch
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.stores import Admission
from nightlane.settings import AdmissionSettings


def admit_waiting(ports: Ports[AdmissionSettings]) -> None:
    """Admit waiting batches while there is room, and send their shards."""
    limit = ports.settings.max_concurrent_batches
    waiting: dict[str, Waiting] | None = None
    while waiting is None or waiting:
        # Read again for each batch: other functions admit and end batches at the same time.
        slots = ports.batches.slots()
        if len(slots.running) >= limit:
            return
        if waiting is None:
            waiting = {each.batch_id: each for each in ports.batches.waiting_batches()}
        chosen = next_batch(waiting.values(), slots)
        if chosen is None:
            return
        admission = _admit(ports, chosen, slots)
        if admission is Admission.FULL:
            return
        del waiting[chosen.batch_id]
        if admission is Admission.TENANT_FULL:
            waiting = {key: each for key, each in waiting.items() if each.tenant != chosen.tenant}


def _admit(ports: Ports[AdmissionSettings], chosen: Waiting, slots: Slots) -> Admission:
    """Admit a batch if it is still waiting, or close it if it has expired."""
    batch, settings = ports.batches.get_batch(chosen.batch_id), ports.settings
    if batch is None or not batch.is_waiting:
        return Admission.NOT_WAITING
    now = int(ports.now())
    if now >= batch.expires_at:
        close_if_due(ports, batch.id)
        return Admission.NOT_WAITING
    admission = ports.batches.admit_batch(
        batch,
        settings.max_concurrent_batches,
        now,
        now + settings.redrive_seconds,
        recent=slots.recent_with(batch.tenant),
    )
    if admission is Admission.ADMITTED:
        ports.metrics.add(Metric.ADMISSION_WAIT, _milliseconds_since_creation(ports, batch))
        dispatch(ports, batch)
    return admission


def _milliseconds_since_creation(ports: Ports, batch: Batch) -> int:
    # `created_at` is too coarse: it is in whole seconds, and a batch is often admitted within one.
    return max(0, int(ports.now() * 1000) - int(batch.listed.split("#")[0]))
