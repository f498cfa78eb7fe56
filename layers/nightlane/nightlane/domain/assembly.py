"""assemble: merges the parts into the output and error files and ends the batch."""

import heapq
from collections.abc import Iterable, Iterator
from hashlib import sha256

from msgspec.structs import replace

from nightlane.api_settings import RetentionSettings
from nightlane.domain.admission import admit_waiting
from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.closing import close_if_due
from nightlane.domain.dispatch import dispatch, read_manifest
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.history import history_to_text, recorder_of
from nightlane.domain.lines import LineError, error_line, read_request, request_lines, result_id
from nightlane.domain.metrics import Metric
from nightlane.domain.order import decode_order, merge_runs, run_starts
from nightlane.domain.parts import PARTS_AHEAD, Record, merge_parts
from nightlane.domain.ports import Ports
from nightlane.domain.result_copies import copy_results
from nightlane.domain.shard import DoneLines, Manifest, Shard, ShardSpec, input_key, plan_keys
from nightlane.domain.steps import Hold, held, redrive_at
from nightlane.domain.stores import list_key
from nightlane.domain.webhook_delivery import announce
from nightlane.settings import AssemblySettings

KINDS = ("output", "error")
BATCH_METRICS = {
    Outcome.COMPLETED: Metric.BATCHES_COMPLETED,
    Outcome.EXPIRED: Metric.BATCHES_EXPIRED,
    Outcome.CANCELLED: Metric.BATCHES_CANCELLED,
}
NEVER_RUN_METRICS = {Outcome.EXPIRED: Metric.LINES_EXPIRED, Outcome.CANCELLED: Metric.LINES_CANCELLED}


def assemble_batch(ports: Ports[AssemblySettings], batch_id: str) -> None:
    """End a closed batch, then admit waiting ones. Safe to repeat, and to run twice at once."""
    batch = close_if_due(ports, batch_id)
    if batch is not None and batch.is_resting and batch.status is BatchStatus.CANCELLING and batch.is_open:
        # A resting batch has no messages in its lanes, but workers must end its shards.
        dispatch(ports, batch)
    if batch is not None and batch.outcome is not None and not batch.status.is_terminal:
        batch = _assemble(ports, batch_id)
    admit_waiting(ports)
    if batch is not None and batch.status.is_terminal:
        _clean_up(ports, batch)


def _assemble(ports: Ports[AssemblySettings], batch_id: str) -> Batch | None:
    """Assemble a closed batch, and return the batch as it is afterwards."""
    while (claimed := ports.batches.begin_assembly(batch_id, redrive_at(ports))) is not None:
        with held(ports, claimed) as hold:
            _finish(ports, claimed, hold)
        batch = ports.batches.get_batch(batch_id)
        if batch is None or batch.status.is_terminal or batch.epoch != claimed.epoch:
            return batch
        # The batch was cancelled meanwhile: assemble it again, with cancelled lines instead of expired ones.
    return ports.batches.get_batch(batch_id)


def _finish(ports: Ports[AssemblySettings], batch: Batch, hold: Hold) -> None:
    assert batch.outcome is not None
    outcome = Outcome.CANCELLED if batch.status is BatchStatus.CANCELLING else batch.outcome
    output, error = (_file(ports, batch, kind) for kind in KINDS)
    shards, recorder = ports.batches.shards(batch.id), recorder_of(batch, ports.now())
    if batch.is_planned:
        watched = shards if recorder is None else recorder.watch(shards)
        lines = hold.during(_result_lines(ports, batch, read_manifest(ports, batch), outcome, watched))
        output, error = _write(ports, lines, output, error)
    # Earlier assemblers can no longer commit, and may have crashed before deleting what they wrote.
    ports.blobs.delete(
        _file(ports, replace(batch, epoch=epoch), kind).blob_key
        for epoch in range(1, batch.epoch)
        for kind in KINDS
    )
    stored_output, stored_error = (file if file.size else None for file in (output, error))
    copy_results(ports, batch, [file for file in (stored_output, stored_error) if file is not None])
    history = None if recorder is None else history_to_text(recorder.history())
    at = int(ports.now())
    if not ports.batches.finish_batch(batch, outcome, at, stored_output, stored_error, history):
        ports.blobs.delete([output.blob_key, error.blob_key])
        return
    announce(ports, batch.id)
    ports.metrics.add(BATCH_METRICS[outcome])
    if outcome in NEVER_RUN_METRICS:
        # The batch was closed before it was read, so its counts are final.
        ports.metrics.add(NEVER_RUN_METRICS[outcome], batch.total - batch.completed - batch.failed)


def _write(
    ports: Ports, lines: Iterable[tuple[bool, bytes]], output: StoredFile, error: StoredFile
) -> tuple[StoredFile, StoredFile]:
    """Write the objects of both files and return their records with the sizes."""
    with ports.blobs.writer(output.blob_key) as successes, ports.blobs.writer(error.blob_key) as failures:
        for ok, data in lines:
            (successes if ok else failures).write(data)
    return replace(output, size=successes.size), replace(error, size=failures.size)


def _file(ports: Ports[RetentionSettings], batch: Batch, kind: str) -> StoredFile:
    """Return the record of a result file, still empty. Each epoch has files of its own."""
    now = ports.now()
    file_id = "file-" + sha256(f"{batch.id}/{kind}/{batch.epoch}".encode()).hexdigest()[:24]
    lifetime = batch.request.output_expires_after or ports.settings.batch_file_retention_seconds
    return StoredFile(
        id=file_id,
        tenant=batch.tenant,
        filename=f"{batch.id}_{kind}.jsonl",
        purpose=FilePurpose.BATCH_OUTPUT,
        size=0,
        created_at=int(now),
        expires_at=int(now) + lifetime,
        listed=list_key(now, file_id),
        is_counted=batch.quota.stored_bytes is not None,
    )


def _result_lines(
    ports: Ports, batch: Batch, manifest: Manifest, outcome: Outcome, shards: Iterator[Shard]
) -> Iterator[tuple[bool, bytes]]:
    """Yield every line of the batch exactly once, in input order."""
    stored = _with_specs(manifest.shards, shards)
    if manifest.order_key is None:
        for spec, shard in stored:
            yield from _shard_lines(ports, batch, manifest, outcome, spec, shard)
        return
    order, all_shards = decode_order(ports.blobs.get(manifest.order_key)), list(stored)
    ahead = max(1, PARTS_AHEAD // len(run_starts(order)))

    def open_run(start: int, end: int) -> Iterator[tuple[bool, bytes]]:
        for spec, shard in all_shards:
            if start <= spec.first_line < end:
                yield from _shard_lines(ports, batch, manifest, outcome, spec, shard, ahead)

    yield from merge_runs(order, open_run)


def _with_specs(
    specs: Iterable[ShardSpec], stored_shards: Iterator[Shard]
) -> Iterator[tuple[ShardSpec, Shard | None]]:
    """Yield each shard with its stored state, or None if no worker has begun it."""
    shard = next(stored_shards, None)
    for spec in specs:
        if shard is not None and shard.index == spec.index:
            yield spec, shard
            shard = next(stored_shards, None)
        else:
            yield spec, None


def _shard_lines(
    ports: Ports,
    batch: Batch,
    manifest: Manifest,
    outcome: Outcome,
    spec: ShardSpec,
    shard: Shard | None,
    parts_ahead: int = PARTS_AHEAD,
) -> Iterator[tuple[bool, bytes]]:
    done = DoneLines(spec.lines, shard.done if shard else b"")
    records = merge_parts(shard.parts if shard else (), ports.blobs.stream, parts_ahead)
    if done.complete:
        yield from ((record.ok, record.data) for record in records)
        return
    missing = _never_run(ports, batch, manifest, outcome, spec, done)
    merged = heapq.merge(records, missing, key=lambda record: record.line)
    yield from ((record.ok, record.data) for record in merged)


def _never_run(
    ports: Ports, batch: Batch, manifest: Manifest, outcome: Outcome, spec: ShardSpec, done: DoneLines
) -> Iterator[Record]:
    error, detail = LineError.CANCELLED, ""
    if outcome is Outcome.EXPIRED:
        error, detail = LineError.EXPIRED, _expiry_detail(batch)
    lines = request_lines(ports.blobs.stream(manifest.input_key, spec.start, spec.end))
    for number, line in done.missing(lines):
        custom_id = read_request(line).custom_id
        identity = result_id(batch.id, spec.numbers[number])
        yield Record(number, False, error_line(identity, custom_id, error, detail))


def _expiry_detail(batch: Batch) -> str:
    """Return why the lines waited until the window closed, if the upstream is the reason."""
    return f"The endpoint last answered {batch.trouble}" if batch.trouble else ""


def _clean_up(ports: Ports, batch: Batch) -> None:
    """Delete what a terminal batch no longer needs. Anything missed here expires by itself."""
    keys = [part.key for shard in ports.batches.shards(batch.id) for part in shard.parts]
    # Planners that crashed or were replaced may have left theirs.
    plans = [key for epoch in range(1, batch.epoch + 1) for key in plan_keys(batch.id, epoch)]
    ports.blobs.delete([*keys, input_key(batch.id), *plans])
    # Last, because the shards name the objects to delete.
    ports.batches.forget_shards(batch.id)
