"""sweep: looks again at whatever a lost message or a dead function may have left behind."""

from nightlane.domain.admission import admit_waiting
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.closing import EXPIRY_GRACE_SECONDS, close_if_due
from nightlane.domain.dispatch import dispatch
from nightlane.domain.ports import Due, Ports


def sweep(ports: Ports) -> None:
    """Look at everything that is due; one thing that fails does not keep the others waiting.

    Raises:
        ExceptionGroup: what failed; it stays due.
    """
    failures: list[Exception] = []
    for due in ports.batches.due(int(ports.now())):
        try:
            _look_at(ports, due)
        except Exception as error:
            failures.append(error)
    admit_waiting(ports)
    if failures:
        raise ExceptionGroup("could not be looked at", failures)


def _look_at(ports: Ports, due: Due) -> None:
    if due.file_id is not None:
        remove_file(ports, due.file_id)
    elif due.batch_id is not None:
        batch = close_if_due(ports, due.batch_id, EXPIRY_GRACE_SECONDS)
        if batch is not None and not batch.status.is_terminal:
            _redrive(ports, batch)


def remove_file(ports: Ports, file_id: str) -> None:
    """Remove the object of a file that expired or was deleted."""
    file = ports.files.get_file(file_id, deleted=True)
    if file is not None:
        ports.files.delete_file(file, int(ports.now()))
        ports.blobs.delete([file.blob_key])
        ports.files.forget_file(file_id)


def _redrive(ports: Ports, batch: Batch) -> None:
    """Send again what should have been done by now. Every step is safe to repeat."""
    settings, progress = ports.settings, _progress(ports, batch)
    wait = settings.redrive_seconds
    if batch.outcome is not None or batch.status is BatchStatus.CANCELLING:
        ports.queues.send_assemble(batch.id)
    elif not batch.is_planned:
        ports.queues.send_plan(batch.id)
    elif batch.is_waiting:
        wait = settings.completion_window_seconds
    elif not batch.dispatches or progress == batch.progress_seen:
        dispatch(ports, batch)
        wait = settings.stall_seconds
    else:
        wait = settings.stall_seconds
    now = int(ports.now())
    expiry = batch.expires_at + EXPIRY_GRACE_SECONDS
    ports.batches.look_again(batch, progress, min(now + wait, expiry) if expiry > now else now + wait)


def _progress(ports: Ports, batch: Batch) -> int:
    """Grows whenever a worker begins or commits."""
    if batch.status is not BatchStatus.IN_PROGRESS:
        return 0
    return sum(shard.epoch + shard.commits for shard in ports.batches.shards(batch.id))
