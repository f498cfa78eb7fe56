"""Batches from creation to their terminal status. Each method is one conditional write."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from nightlane.aws.table import quotas
from nightlane.aws.table.connection import (
    ConditionFailed,
    Connection,
    Item,
    Key,
    TransactionRefused,
    delete,
    put,
    update,
)
from nightlane.aws.table.drains import DynamoDrains
from nightlane.aws.table.items import (
    ADMISSION_KEY,
    WAITING_PARTITION,
    WAKE_PARTITIONS,
    batch_from_item,
    batch_key,
    batch_of_entry,
    batch_owner,
    batch_to_item,
    slot_values,
    slots_from_item,
    trouble_to_map,
    waiting_from_item,
    waiting_key,
    waiting_of,
)
from nightlane.aws.table.shards import DynamoShards
from nightlane.aws.table.steps import DynamoSteps
from nightlane.domain.admission_order import Slots, Waiting
from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.quota_counts import admitted
from nightlane.domain.stores import Admission, Due
from nightlane.domain.trouble import Trouble

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOT_CLOSED = "attribute_not_exists(#outcome)"


class DynamoBatches:
    """`domain.stores.BatchStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)
        steps, shards = DynamoSteps(self._table), DynamoShards(self._table)
        # A batch is one item in one partition, so one store has all of its methods.
        self.begin_planning = steps.begin_planning
        self.begin_assembly = steps.begin_assembly
        self.hold_step = steps.hold_step
        self.fail_batch = steps.fail_batch
        self.record_plan = steps.record_plan
        self.finish_batch = steps.finish_batch
        self.note_output_problem = steps.note_output_problem
        self.begin_shard = shards.begin_shard
        self.get_shard = shards.get_shard
        self.shards = shards.shards
        self.commit_checkpoint = shards.commit_checkpoint
        self.mark_suspect = shards.mark_suspect
        self.release_shard = shards.release_shard
        self.forget_shards = shards.forget_shards
        drains = DynamoDrains(self._table)
        self.put_drain, self.end_drain, self.drains = drains.put_drain, drains.end_drain, drains.drains

    def create_batch(self, batch: Batch, wake_at: int) -> Batch | None:
        item = batch_to_item(batch, wake_at)
        try:
            if batch.quota.batches_per_hour is None:
                self._table.insert(item)
            else:
                new = put(item) | {"ConditionExpression": "attribute_not_exists(pk)"}
                self._table.transact([("Put", new), quotas.count_creation(batch)])
        except ConditionFailed as refusal:
            return batch_from_item(refusal.old) if refusal.old else self.get_batch(batch.id)
        except TransactionRefused as refusal:
            quotas.raise_if_reached(refusal, 1)
            return self.get_batch(batch.id)
        return None

    def get_batch(self, batch_id: str) -> Batch | None:
        item = self._table.get(batch_key(batch_id))
        return batch_from_item(item) if item else None

    def list_batches(self, tenant: str, after: str | None, limit: int) -> list[Batch]:
        condition = "#owner = :owner" + (" AND #listed < :after" if after else "")
        values = {"owner": batch_owner(tenant)} | ({"after": after} if after else {})
        listed = self._table.query(condition, values, index="by_tenant", newest_first=True, page=limit)
        keys = [Key(item["pk"], item["sk"]) for item in islice(listed, limit)]
        return [batch_from_item(item) for item in self._table.get_many(keys)]

    def waiting_batches(self) -> Iterator[Waiting]:
        for entry in self._table.query("#pk = :pk", {"pk": WAITING_PARTITION}):
            waiting = waiting_from_item(entry)
            if waiting is None and (batch := self.get_batch(batch_of_entry(entry))) is not None:
                waiting = waiting_of(batch)
            if waiting is not None:
                yield waiting

    def slots(self) -> Slots:
        return slots_from_item(self._table.get(ADMISSION_KEY) or {})

    def admit_batch(
        self, batch: Batch, limit: int, at: int, wake_at: int, *, recent: Sequence[str]
    ) -> Admission:
        slot = update(
            ADMISSION_KEY,
            "ADD #running :id, #owners :owner SET #recent = :recent",
            slot_values(batch) | {"recent": list(recent), "limit": limit, "this": batch.id},
            "attribute_not_exists(#running) OR size(#running) < :limit OR contains(#running, :this)",
        )
        started = update(
            batch_key(batch.id),
            "SET #status = :in_progress, #in_progress_at = :at, #wake_at = :wake_at",
            {
                "in_progress": BatchStatus.IN_PROGRESS.value,
                "at": at,
                "wake_at": wake_at,
                "validating": BatchStatus.VALIDATING.value,
            },
            f"#status = :validating AND attribute_exists(#manifest_key) AND {NOT_CLOSED}",
        )
        try:
            entry = ("Delete", delete(waiting_key(batch)))
            self._table.transact(
                [("Update", slot), ("Update", started), entry, *quotas.count(batch.tenant, admitted(batch))]
            )
        except TransactionRefused as refusal:
            if 1 in refusal.failed:
                return Admission.NOT_WAITING
            return Admission.FULL if 0 in refusal.failed else Admission.TENANT_FULL
        return Admission.ADMITTED

    def record_dispatch(self, batch_id: str, attempt: int, wake_at: int) -> None:
        self._update_if(
            batch_id,
            "SET #dispatches = :attempt, #wake_at = :wake_at REMOVE #resting",
            {"attempt": attempt, "wake_at": wake_at},
            f"attribute_exists(#active) AND {NOT_CLOSED}",
        )

    def request_cancel(self, batch_id: str, at: int, wake_at: int) -> Batch | None:
        try:
            item = self._table.update(
                batch_key(batch_id),
                "SET #status = :cancelling, #cancelling_at = :at, #wake_at = :wake_at",
                {
                    "cancelling": BatchStatus.CANCELLING.value,
                    "at": at,
                    "wake_at": wake_at,
                    "validating": BatchStatus.VALIDATING.value,
                    "in_progress": BatchStatus.IN_PROGRESS.value,
                    "finalizing": BatchStatus.FINALIZING.value,
                },
                "#status IN (:validating, :in_progress, :finalizing)",
            )
        except ConditionFailed:
            return None
        return batch_from_item(item)

    def close_batch(self, batch: Batch, outcome: Outcome, at: int, wake_at: int, *, drained: bool) -> bool:
        values: Item = {"outcome": outcome.value, "wake_at": wake_at, "seen": batch.status.value}
        assignments = "#outcome = :outcome, #wake_at = :wake_at"
        if batch.status is BatchStatus.IN_PROGRESS:
            values |= {"finalizing": BatchStatus.FINALIZING.value, "at": at}
            assignments += ", #status = :finalizing, #finalizing_at = :at"
        condition = f"#status = :seen AND {NOT_CLOSED}"
        if drained:
            condition += " AND #shards_done >= #shards_total"
        return self._update_if(batch.id, f"SET {assignments}", values, condition)

    def note_trouble(self, batch_id: str, trouble: Trouble) -> None:
        self._update_if(
            batch_id,
            "SET #trouble = :trouble",
            {"trouble": trouble_to_map(trouble)},
            f"attribute_exists(#active) AND {NOT_CLOSED}",
        )

    def rest_batch(self, batch_id: str, wake_at: int) -> bool:
        return self._update_if(
            batch_id,
            "SET #resting = :resting, #wake_at = :wake_at",
            {"resting": True, "wake_at": wake_at, "in_progress": BatchStatus.IN_PROGRESS.value},
            f"#status = :in_progress AND {NOT_CLOSED}",
        )

    def record_sweep(self, batch: Batch, progress: int, wake_at: int) -> None:
        self._update_if(
            batch.id,
            "SET #wake_at = :wake_at, #progress_seen = :progress",
            {"wake_at": wake_at, "progress": progress, "seen": batch.status.value},
            "attribute_exists(#active) AND #status = :seen",
        )

    def due(self, now: int) -> Iterator[Due]:
        # In random order, so that a sweep that runs out of time does not always skip the same partitions.
        for partition in random.sample(range(WAKE_PARTITIONS), WAKE_PARTITIONS):
            for item in self._table.query(
                "#active = :partition AND #wake_at <= :now",
                {"partition": str(partition), "now": now},
                index="by_wake",
            ):
                kind, identifier = str(item["pk"]).split("#", 1)
                yield Due(batch_id=identifier) if kind == "BATCH" else Due(file_id=identifier)

    def _update_if(self, batch_id: str, expression: str, values: Item, condition: str) -> bool:
        return self._table.update_if(batch_key(batch_id), expression, values, condition)
