"""sweep: redrives whatever a lost message or a crashed function may have left unfinished."""

from itertools import islice

from nightlane.domain.admission import admit_waiting
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.closing import EXPIRY_GRACE_SECONDS, close_if_due
from nightlane.domain.dispatch import dispatch
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.stuck import Sign, Stuck
from nightlane.domain.webhook_delivery import redrive_events
from nightlane.settings import SweepingSettings

MAX_WAITING_COUNTED = 1_000


def sweep(ports: Ports[SweepingSettings]) -> None:
    """Handle everything that is due, and measure how many batches are running, waiting and stuck.

    A failure does not stop the sweep: the other batches and files are still handled.

    Raises:
        ExceptionGroup: the failures; what failed stays due.
    """
    failures: list[Exception] = []
    stuck = Stuck()
    for due in ports.batches.due(int(ports.now())):
        try:
            if due.file_id is not None:
                remove_file(ports, due.file_id)
            elif due.batch_id is not None and (batch := _unfinished(ports, due.batch_id)) is not None:
                stuck.check(batch, ports.now())
                _redrive(ports, batch, stuck)
        except Exception as error:
            failures.append(error)
    admit_waiting(ports)
    try:
        redrive_events(ports)
    except Exception as error:
        failures.append(error)
    _measure(ports, stuck)
    if failures:
        raise ExceptionGroup("could not be swept", failures)


def _unfinished(ports: Ports[SweepingSettings], batch_id: str) -> Batch | None:
    batch = close_if_due(ports, batch_id, EXPIRY_GRACE_SECONDS)
    return None if batch is None or batch.status.is_terminal else batch


def _measure(ports: Ports, stuck: Stuck) -> None:
    """Nothing is published while there is nothing to count: CloudWatch charges for each hour with data."""
    waiting = sum(1 for _ in islice(ports.batches.waiting_batches(), MAX_WAITING_COUNTED))
    running = len(ports.batches.slots().running)
    if running or waiting:
        ports.metrics.add(Metric.BATCHES_RUNNING, running)
        ports.metrics.add(Metric.BATCHES_WAITING, waiting)
    if overdue := stuck.count(Sign.OVERDUE):
        ports.metrics.add(Metric.BATCHES_OVERDUE, overdue)
    stuck.report(ports)


def remove_file(ports: Ports, file_id: str) -> None:
    """Remove the object of a file that expired or was deleted."""
    file = ports.files.get_file(file_id, deleted=True)
    if file is not None:
        if not ports.files.delete_file(file, int(ports.now())) and ports.files.get_file(file_id) is not None:
            # It was completed just in time.
            return
        ports.blobs.delete([file.blob_key])
        ports.files.forget_file(file_id)


def _redrive(ports: Ports[SweepingSettings], batch: Batch, stuck: Stuck) -> None:
    """Send the messages of the batch's next step again. Every step is safe to repeat."""
    settings, progress = ports.settings, _progress(ports, batch)
    wait = settings.redrive_seconds
    if batch.outcome is not None or batch.status is BatchStatus.CANCELLING:
        ports.queues.send_assemble(batch.id)
    elif not batch.is_planned:
        ports.queues.send_plan(batch.id)
    elif batch.is_waiting:
        # Nothing is left to send: whenever a slot becomes free, some function admits a batch.
        wait = max(wait, batch.expires_at + EXPIRY_GRACE_SECONDS - int(ports.now()))
    elif batch.is_resting:
        dispatch(ports, batch)
        wait = settings.stall_seconds
    elif not batch.dispatches or progress == batch.progress_seen:
        if batch.dispatches:
            ports.metrics.add(Metric.BATCHES_STALLED)
            stuck.stalled(batch)
        dispatch(ports, batch)
        wait = settings.stall_seconds
    else:
        wait = settings.stall_seconds
    now = int(ports.now())
    expiry = batch.expires_at + EXPIRY_GRACE_SECONDS
    ports.batches.record_sweep(batch, progress, min(now + wait, expiry) if expiry > now else now + wait)


def _progress(ports: Ports, batch: Batch) -> int:
    """Return a number that grows whenever a worker begins or commits."""
    if batch.status is not BatchStatus.IN_PROGRESS:
        return 0
    return sum(shard.epoch + shard.commits for shard in ports.batches.shards(batch.id))
