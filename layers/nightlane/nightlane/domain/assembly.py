"""assemble: merges the parts into the output and error files, and ends the batch."""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

from nightlane.domain.admission import admit_waiting
from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.closing import close_if_due
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.lines import LineError, error_line, read_request, request_lines, result_id
from nightlane.domain.metrics import Metric
from nightlane.domain.parts import Record, merge_parts
from nightlane.domain.ports import Ports, list_key
from nightlane.domain.shard import DoneLines, Manifest, Shard, ShardSpec

ENDED = {
    Outcome.COMPLETED: Metric.BATCHES_COMPLETED,
    Outcome.EXPIRED: Metric.BATCHES_EXPIRED,
    Outcome.CANCELLED: Metric.BATCHES_CANCELLED,
}
NEVER_RUN = {Outcome.EXPIRED: Metric.LINES_EXPIRED, Outcome.CANCELLED: Metric.LINES_CANCELLED}


def assemble_batch(ports: Ports, batch_id: str) -> None:
    """End a closed batch, then admit whatever may run now. Safe to repeat."""
    batch = close_if_due(ports, batch_id)
    while batch is not None and batch.outcome is not None and not batch.status.is_terminal:
        _finish(ports, batch)
        batch = ports.batches.get_batch(batch_id)
    admit_waiting(ports)


def _finish(ports: Ports, batch: Batch) -> None:
    assert batch.outcome is not None
    outcome = Outcome.CANCELLED if batch.status is BatchStatus.CANCELLING else batch.outcome
    manifest = read_manifest(ports, batch) if batch.is_planned else None
    output, error = _write_files(ports, batch, manifest, outcome) if manifest else (None, None)
    if not ports.batches.finish_batch(batch, outcome, int(ports.now()), output, error):
        return
    ports.metrics.add(ENDED[outcome])
    if outcome in NEVER_RUN:
        # The batch was closed before it was read: its counts are final.
        ports.metrics.add(NEVER_RUN[outcome], batch.total - batch.completed - batch.failed)
    if manifest:
        _delete_working_objects(ports, batch, manifest)


def _write_files(
    ports: Ports, batch: Batch, manifest: Manifest, outcome: Outcome
) -> tuple[StoredFile | None, StoredFile | None]:
    output, error = _file(ports, batch, "output"), _file(ports, batch, "error")
    with ports.blobs.writer(output.blob_key) as successes, ports.blobs.writer(error.blob_key) as failures:
        for ok, data in _result_lines(ports, batch, manifest, outcome):
            (successes if ok else failures).write(data)
    return (
        replace(output, size=successes.size) if successes.size else None,
        replace(error, size=failures.size) if failures.size else None,
    )


def _file(ports: Ports, batch: Batch, kind: str) -> StoredFile:
    """The record of a result file; its id is the same however often it is assembled."""
    now = ports.now()
    file_id = "file-" + sha256(f"{batch.id}/{kind}".encode()).hexdigest()[:24]
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
    )


def _result_lines(
    ports: Ports, batch: Batch, manifest: Manifest, outcome: Outcome
) -> Iterator[tuple[bool, bytes]]:
    """Every line of the batch exactly once, in input order."""
    begun = ports.batches.shards(batch.id)
    shard = next(begun, None)
    for spec in manifest.shards:
        if shard is not None and shard.index == spec.index:
            yield from _shard_lines(ports, batch, manifest, outcome, spec, shard)
            shard = next(begun, None)
        else:
            empty = Shard(batch_id=batch.id, index=spec.index)
            yield from _shard_lines(ports, batch, manifest, outcome, spec, empty)


def _shard_lines(
    ports: Ports, batch: Batch, manifest: Manifest, outcome: Outcome, spec: ShardSpec, shard: Shard
) -> Iterator[tuple[bool, bytes]]:
    done = DoneLines(spec.lines, shard.done)
    records = merge_parts(shard.parts, ports.blobs.stream)
    if done.complete:
        yield from ((record.ok, record.data) for record in records)
        return
    missing = _never_run(ports, batch, manifest.input_key, outcome, spec, done)
    merged = heapq.merge(records, missing, key=lambda record: record.line)
    yield from ((record.ok, record.data) for record in merged)


def _never_run(
    ports: Ports, batch: Batch, input_key: str, outcome: Outcome, spec: ShardSpec, done: DoneLines
) -> Iterator[Record]:
    error = LineError.EXPIRED if outcome is Outcome.EXPIRED else LineError.CANCELLED
    lines = request_lines(ports.blobs.stream(input_key, spec.start, spec.end))
    for number, line in done.missing(lines):
        custom_id = read_request(line).custom_id
        identity = result_id(batch.id, spec.first_line + number)
        yield Record(number, False, error_line(identity, custom_id, error))


def _delete_working_objects(ports: Ports, batch: Batch, manifest: Manifest) -> None:
    """What this misses goes by the bucket's lifecycle rule."""
    keys = [part.key for shard in ports.batches.shards(batch.id) for part in shard.parts]
    assert batch.manifest_key is not None
    ports.blobs.delete([*keys, manifest.input_key, batch.manifest_key])
