"""Batches, shards and files for the tests of the stores."""

from nightlane.domain.batch import Batch, BatchRequest, BatchStatus, Outcome, Usage
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.shard import Checkpoint, DoneLines, Part, Shard
from nightlane.domain.stores import Admission, BatchStore
from nightlane.domain.trouble import Trouble

NOW = 1_800_000_000
BUSY = Trouble("overloaded", 503, "«busy»", NOW - 9)
SILENT = Trouble("unreachable", None, "", NOW)


def new_batch(number: int = 0, tenant: str = "acme") -> Batch:
    batch_id = f"batch_{number:032x}"
    return Batch(
        id=batch_id,
        tenant=tenant,
        request=BatchRequest(
            input_file_id="file-1",
            endpoint="/v1/completions",
            completion_window="24h",
            metadata={"é": "中", "": ""},
            output_expires_after=3_600,
            output_prefix="s3://team-data/out/",
        ),
        status=BatchStatus.VALIDATING,
        listed=f"{NOW * 1000 + number:013d}#{batch_id}",
        created_at=NOW,
        expires_at=NOW + 86_400,
    )


def planning(store: BatchStore, number: int = 0, tenant: str = "acme") -> Batch:
    batch = new_batch(number, tenant)
    store.create_batch(batch, NOW + 60)
    begun = store.begin_planning(batch.id, NOW + 60)
    assert begun is not None
    return begun


def planned(store: BatchStore, number: int = 0, shards: int = 2, tenant: str = "acme") -> Batch:
    batch = planning(store, number, tenant)
    assert store.record_plan(batch, manifest_key="work/m", shards=shards, total=6, model="m", at=NOW)
    return look(store, batch)


def running(store: BatchStore, number: int = 0, shards: int = 2) -> Batch:
    batch = planned(store, number, shards)
    assert store.admit_batch(batch, 100, NOW + 1, NOW + 61, recent=[batch.tenant]) is Admission.ADMITTED
    return look(store, batch)


def assembling(store: BatchStore, batch: Batch, outcome: Outcome = Outcome.EXPIRED) -> Batch:
    assert store.close_batch(batch, outcome, NOW, NOW + 60, drained=outcome is Outcome.COMPLETED)
    begun = store.begin_assembly(batch.id, NOW + 60)
    assert begun is not None
    return begun


def look(store: BatchStore, batch: Batch) -> Batch:
    found = store.get_batch(batch.id)
    assert found is not None
    return found


def checkpoint(shard: Shard, *lines: int, finished: bool = False) -> Checkpoint:
    done = DoneLines(3, shard.done)
    for line in lines:
        done.add(line)
    part = Part(f"work/p/{shard.epoch}-{shard.commits}", min(lines), max(lines)) if lines else None
    usage = Usage(1, 2, 3, 4, 5) if lines else Usage()
    return Checkpoint(
        part=part,
        done=bytes(done),
        completed=len(lines),
        failed=0,
        usage=usage,
        model="m-2" if lines else None,
        finished=finished,
    )


def file(number: int, purpose: FilePurpose = FilePurpose.BATCH, tenant: str = "acme") -> StoredFile:
    return StoredFile(
        id=f"file-{number}",
        tenant=tenant,
        filename="中.jsonl",
        purpose=purpose,
        size=7,
        created_at=NOW,
        expires_at=NOW + 100,
        listed=f"{NOW * 1000 + number:013d}#file-{number}",
    )


def begin(store: BatchStore, batch: Batch, index: int = 0, lane: int = 0) -> Shard:
    """Begin a shard as it is stored now."""
    return store.begin_shard(store.get_shard(batch.id, index), lane)
