"""Conversion between the domain's objects and the items of the table."""

import json
import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from msgspec.structs import asdict

from nightlane.aws.table.connection import Item, Key
from nightlane.aws.table.quota_attribute import quota_from_item, quota_to_item
from nightlane.domain.admission_order import Slots, Waiting
from nightlane.domain.batch import Batch, BatchError, BatchRequest, BatchStatus, Outcome, Usage
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.quotas import BatchSize
from nightlane.domain.shard import Part, Sample, Shard, Suspicion, part_prefix
from nightlane.domain.tally import Tally
from nightlane.domain.trouble import Rest, Trouble

# The sweeper's index is spread over several partitions, so that its throughput is not limited to one.
WAKE_PARTITIONS = 8
ADMISSION_KEY = Key("ADMISSION", "ADMISSION")
WAITING_PARTITION = "WAITING"


def batch_key(batch_id: str) -> Key:
    return Key(f"BATCH#{batch_id}", "BATCH")


def shard_key(batch_id: str, index: int) -> Key:
    return Key(f"BATCH#{batch_id}", f"SHARD#{index:05d}")


def file_key(file_id: str) -> Key:
    return Key(f"FILE#{file_id}", "FILE")


def upstream_key(upstream: str) -> Key:
    return Key(f"UPSTREAM#{sha256(upstream.encode()).hexdigest()[:16]}", "REST")


def shares_key(upstream: str) -> Key:
    return Key(upstream_key(upstream).pk, "SHARES")


def use_key(upstream: str, hour: int) -> Key:
    return Key(upstream_key(upstream).pk, f"USE#{hour:07d}")


def waiting_key(batch: Batch) -> Key:
    return Key(WAITING_PARTITION, batch.listed)


def waiting_to_item(batch: Batch) -> Item:
    """Return the entry of a waiting batch. It has all that the order of admission depends on."""
    key = waiting_key(batch)
    return {"pk": key.pk, "sk": key.sk, "tenant": batch.tenant, "expires_at": batch.expires_at}


def waiting_of(batch: Batch) -> Waiting:
    return Waiting(batch.id, batch.tenant, batch.expires_at, batch.listed)


def waiting_from_item(item: Mapping[str, Any]) -> Waiting | None:
    """None if the entry was written by a version before 0010-admission-order."""
    if "tenant" not in item:
        return None
    return Waiting(batch_of_entry(item), item["tenant"], int(item["expires_at"]), item["sk"])


def batch_of_entry(item: Mapping[str, Any]) -> str:
    """Return the id of the batch that an entry stands for."""
    return str(item["sk"]).split("#", 1)[1]


def slot_values(batch: Batch) -> Item:
    """Return the members of the two sets of ADMISSION that stand for an admitted batch."""
    return {"id": {batch.id}, "owner": {f"{batch.id}#{batch.tenant}"}}


def slots_from_item(item: Mapping[str, Any]) -> Slots:
    """Return the slots. Batches that an earlier version admitted have no owner: their tenant is empty."""
    owners = dict(owner.split("#", 1) for owner in item.get("owners", ()))
    running = {batch_id: owners.get(batch_id, "") for batch_id in item.get("running", ())}
    return Slots(running, tuple(item.get("recent", ())))


def batch_owner(tenant: str) -> str:
    return f"{tenant}#batch"


def file_owner(tenant: str, purpose: FilePurpose) -> str:
    return f"{tenant}#file#{purpose}"


def wake_partition(identifier: str) -> str:
    return str(zlib.crc32(identifier.encode()) % WAKE_PARTITIONS)


def batch_to_item(batch: Batch, wake_at: int) -> Item:
    """Return the item of a new batch."""
    request = batch.request
    key = batch_key(batch.id)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "owner": batch_owner(batch.tenant),
        "listed": batch.listed,
        "active": wake_partition(batch.id),
        "wake_at": wake_at,
        "tenant": batch.tenant,
        "status": batch.status.value,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "input_file_id": request.input_file_id,
        "endpoint": request.endpoint,
        "completion_window": request.completion_window,
        # As text: a DynamoDB map cannot have an empty key, but metadata can.
        "metadata": None if request.metadata is None else json.dumps(dict(request.metadata)),
        "output_expires_after": request.output_expires_after,
        "retry_of": request.retry_of,
        "output_prefix": request.output_prefix,
        "quota": quota_to_item(batch.quota),
    }


_TIMES = (
    "validated_at",
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
_COUNTS = ("total", "completed", "failed", "shards_total", "shards_done", "dispatches", "progress_seen")
_TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens")


def batch_from_item(item: Mapping[str, Any]) -> Batch:
    return Batch(
        id=item["pk"].removeprefix("BATCH#"),
        tenant=item["tenant"],
        request=BatchRequest(
            input_file_id=item["input_file_id"],
            endpoint=item["endpoint"],
            completion_window=item["completion_window"],
            metadata=json.loads(item["metadata"]) if "metadata" in item else None,
            output_expires_after=_whole(item.get("output_expires_after")),
            retry_of=item.get("retry_of"),
            output_prefix=item.get("output_prefix"),
        ),
        status=BatchStatus(item["status"]),
        listed=item["listed"],
        created_at=int(item["created_at"]),
        expires_at=int(item["expires_at"]),
        quota=quota_from_item(item),
        size=BatchSize(**{name: int(item.get(name, 0)) for name in BatchSize.__struct_fields__}),
        model=item.get("model"),
        errors=tuple(_error_from_map(error) for error in item.get("errors", ())),
        usage=Usage(**{name: int(item.get(name, 0)) for name in _TOKENS}),
        tally=Tally(**{name: int(item.get(name, 0)) for name in Tally.__struct_fields__}),
        output_file_id=item.get("output_file_id"),
        error_file_id=item.get("error_file_id"),
        output_problem=item.get("output_problem"),
        manifest_key=item.get("manifest_key"),
        trouble=trouble_from_map(item["trouble"]) if "trouble" in item else None,
        is_resting=item.get("resting", False),
        history=item.get("history"),
        outcome=Outcome(item["outcome"]) if "outcome" in item else None,
        epoch=int(item.get("epoch", 0)),
        **_times(item),
        **_counts(item),
    )


def _times(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _whole(item.get(name)) for name in _TIMES}


def _counts(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: int(item.get(name, 0)) for name in _COUNTS}


def error_to_map(error: BatchError) -> Item:
    return {name: value for name, value in asdict(error).items() if value is not None}


def _error_from_map(error: Mapping[str, Any]) -> BatchError:
    return BatchError(error["code"], error["message"], error.get("param"), _whole(error.get("line")))


def shard_from_item(batch_id: str, index: int, item: Mapping[str, Any]) -> Shard:
    return Shard(
        batch_id=batch_id,
        index=index,
        lane=_whole(item.get("lane")),
        epoch=int(item.get("epoch", 0)),
        commits=int(item.get("commits", 0)),
        done=bytes(item.get("done", b"")),
        parts=tuple(_part_from_text(batch_id, index, text) for text in item.get("parts", ())),
        strikes=int(item.get("strikes", 0)),
        suspect=_whole(item.get("suspect")),
        suspect_strikes=int(item.get("suspect_strikes", 0)),
        suspicions=suspicions_from_text(item.get("suspicions", "")),
        finished=item.get("finished", False),
    )


def suspicions_to_text(suspicions: Mapping[int, Suspicion]) -> str:
    """Encode in a few bytes per line: a shard's item may have hundreds of lines under suspicion."""
    return ";".join(
        f"{line}:{each.failures}:{each.refused_since}:{each.lone_refusals}:{int(each.others_answered)}"
        f":{each.denied_since}"
        for line, each in suspicions.items()
    )


def suspicions_from_text(text: str) -> dict[int, Suspicion]:
    suspicions = {}
    for entry in filter(None, text.split(";")):
        line, failures, refused_since, lone_refusals, others_answered, denied_since = map(
            int, entry.split(":")
        )
        suspicions[line] = Suspicion(
            failures, refused_since, lone_refusals, bool(others_answered), denied_since
        )
    return suspicions


def trouble_to_map(trouble: Trouble) -> Item:
    return {name: value for name, value in asdict(trouble).items() if value is not None}


def trouble_from_map(stored: Mapping[str, Any]) -> Trouble:
    return Trouble(stored["kind"], _whole(stored.get("status")), stored["message"], int(stored["since"]))


def rest_from_item(item: Mapping[str, Any]) -> Rest:
    return Rest(int(item["until"]), int(item["count"]), trouble_from_map(item["trouble"]))


def part_to_text(batch_id: str, index: int, part: Part) -> str:
    """Encode without what the keys of all parts of the shard have in common."""
    name = part.key.removeprefix(part_prefix(batch_id, index))
    sample = part.sample
    if sample is None:
        return f"{part.first}:{part.last}:{name}"
    numbers = (sample.at, sample.seconds, sample.completed, sample.failed, sample.answers, sample.answer_ms)
    return f"{part.first}:{part.last}:{name}:" + ":".join(map(str, numbers))


def _part_from_text(batch_id: str, index: int, text: str) -> Part:
    first, last, name, *numbers = text.split(":")
    # An earlier version stored the whole key.
    key = name if "/" in name else part_prefix(batch_id, index) + name
    return Part(key, int(first), int(last), Sample(*map(int, numbers)) if numbers else None)


def file_to_item(file: StoredFile) -> Item:
    key = file_key(file.id)
    wakes = {"active": wake_partition(file.id), "wake_at": file.ends_at} if file.ends_at else {}
    return wakes | {
        "pk": key.pk,
        "sk": key.sk,
        # Without it, no list has the file.
        "owner": None if file.is_pending else file_owner(file.tenant, file.purpose),
        "listed": file.listed,
        "tenant": file.tenant,
        "filename": file.filename,
        "purpose": file.purpose.value,
        "size": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "is_direct": file.is_direct or None,
        "pending_until": file.pending_until,
        "problem": file.problem,
        "counted": True if file.is_counted else None,
    }


def file_from_item(item: Mapping[str, Any]) -> StoredFile:
    return StoredFile(
        id=item["pk"].removeprefix("FILE#"),
        tenant=item["tenant"],
        filename=item["filename"],
        purpose=FilePurpose(item["purpose"]),
        size=int(item["size"]),
        created_at=int(item["created_at"]),
        expires_at=_whole(item.get("expires_at")),
        listed=item["listed"],
        is_direct=item.get("is_direct", False),
        pending_until=_whole(item.get("pending_until")),
        problem=item.get("problem"),
        is_counted=item.get("counted", False),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
