"""Planning and assembly: epochs that fence off replaced functions, and the final write of each step."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from nightlane.aws.table import quotas
from nightlane.aws.table.connection import (
    ConditionFailed,
    Connection,
    Item,
    TransactionRefused,
    delete,
    put,
    update,
)
from nightlane.aws.table.events import event_to_item
from nightlane.aws.table.items import (
    ADMISSION_KEY,
    batch_from_item,
    batch_key,
    error_to_map,
    file_to_item,
    slot_values,
    waiting_key,
    waiting_to_item,
)
from nightlane.domain import quota_counts
from nightlane.domain.batch import Batch, BatchError, BatchStatus, Outcome
from nightlane.domain.file import StoredFile
from nightlane.domain.quotas import NO_SIZE, BatchSize
from nightlane.domain.webhook import event_of

UNPLANNED = "#status = :validating AND attribute_not_exists(#manifest_key) AND attribute_not_exists(#outcome)"
UNFINISHED = "attribute_exists(#outcome) AND attribute_exists(#active)"
SAME_STEP = "#epoch = :epoch"
STOP_WAKING = "REMOVE #active, #wake_at"


class DynamoSteps:
    """`domain.stores.StepStore` on DynamoDB."""

    def __init__(self, table: Connection) -> None:
        self._table = table

    def begin_planning(self, batch_id: str, wake_at: int) -> Batch | None:
        return self._begin(batch_id, wake_at, UNPLANNED, {"validating": BatchStatus.VALIDATING.value})

    def begin_assembly(self, batch_id: str, wake_at: int) -> Batch | None:
        return self._begin(batch_id, wake_at, UNFINISHED, {})

    def _begin(self, batch_id: str, wake_at: int, condition: str, values: Item) -> Batch | None:
        expression = "ADD #epoch :one SET #wake_at = :wake_at"
        try:
            item = self._table.update(
                batch_key(batch_id), expression, values | {"one": 1, "wake_at": wake_at}, condition
            )
        except ConditionFailed:
            return None
        return batch_from_item(item)

    def hold_step(self, batch: Batch, wake_at: int) -> bool:
        values = {"wake_at": wake_at, "epoch": batch.epoch, "seen": batch.status.value}
        condition = f"{SAME_STEP} AND #status = :seen AND attribute_exists(#active)"
        return self._table.update_if(batch_key(batch.id), "SET #wake_at = :wake_at", values, condition)

    def fail_batch(self, batch: Batch, errors: Sequence[BatchError], at: int) -> bool:
        values = {
            "failed": BatchStatus.FAILED.value,
            "at": at,
            "errors": [error_to_map(error) for error in errors],
            "validating": BatchStatus.VALIDATING.value,
            "epoch": batch.epoch,
        }
        expression = f"SET #status = :failed, #failed_at = :at, #errors = :errors {STOP_WAKING}"
        failed = update(batch_key(batch.id), expression, values, f"{UNPLANNED} AND {SAME_STEP}")
        event = put(event_to_item(event_of(batch, BatchStatus.FAILED, at)))
        try:
            self._table.transact([("Update", failed), ("Put", event)])
        except TransactionRefused:
            return self._was_ended_by(batch)
        return True

    def record_plan(
        self,
        batch: Batch,
        *,
        manifest_key: str,
        shards: int,
        total: int,
        model: str | None,
        at: int,
        size: BatchSize = NO_SIZE,
    ) -> bool:
        sizes = {name: number for name, number in msgspec.structs.asdict(size).items() if number}
        values: Item = {
            "manifest": manifest_key,
            "shards": shards,
            "total": total,
            "at": at,
            "expires_at": batch.expires_at,
            "validating": BatchStatus.VALIDATING.value,
            "epoch": batch.epoch,
            **sizes,
        }
        assignments = (
            "#manifest_key = :manifest, #shards_total = :shards, #total = :total, #validated_at = :at"
        )
        assignments += "".join(f", #{name} = :{name}" for name in sizes)
        if model is not None:
            values["model"] = model
            assignments += ", #model = :model"
        planned = update(
            batch_key(batch.id),
            f"SET {assignments}, #wake_at = :expires_at",
            values,
            f"{UNPLANNED} AND {SAME_STEP}",
        )
        entry = put(waiting_to_item(batch))
        counts = quota_counts.planned(batch, total, size)
        enqueued = quotas.count(batch.tenant, counts, tokens_until=batch.expires_at)
        try:
            self._table.transact([("Update", planned), ("Put", entry), *enqueued])
        except TransactionRefused as refusal:
            quotas.raise_if_reached(refusal, 2)
            stored = self._table.get(batch_key(batch.id)) or {}
            return stored.get("manifest_key") == manifest_key
        return True

    def note_output_problem(self, batch: Batch, problem: str | None) -> None:
        expression = "REMOVE #output_problem" if problem is None else "SET #output_problem = :problem"
        values = {"epoch": batch.epoch} | ({} if problem is None else {"problem": problem})
        with suppress(ConditionFailed):
            self._table.update(batch_key(batch.id), expression, values, f"{SAME_STEP} AND {UNFINISHED}")

    def finish_batch(
        self,
        batch: Batch,
        outcome: Outcome,
        at: int,
        output: StoredFile | None,
        error: StoredFile | None,
        history: str | None = None,
    ) -> bool:
        values: Item = {
            "outcome": outcome.value,
            "at": at,
            "seen": batch.status.value,
            "epoch": batch.epoch,
        }
        assignments = f"#status = :outcome, #outcome = :outcome, #{outcome.value}_at = :at"
        if history is not None:
            values["history"] = history
            assignments += ", #history = :history"
        actions: list[tuple[str, Item]] = []
        for name, file in (("output", output), ("error", error)):
            if file is not None:
                values[name] = file.id
                assignments += f", #{name}_file_id = :{name}"
                actions.append(("Put", put(file_to_item(file))))
        finished = update(
            batch_key(batch.id),
            f"SET {assignments} {STOP_WAKING}",
            values,
            f"{SAME_STEP} AND #status = :seen AND {UNFINISHED}",
        )
        slot = update(ADMISSION_KEY, "DELETE #running :id, #owners :owner", slot_values(batch))
        event = put(event_to_item(event_of(batch, BatchStatus(outcome.value), at)))
        actions += [("Update", finished), ("Update", slot), ("Delete", delete(waiting_key(batch)))]
        actions.append(("Put", event))
        actions += quotas.count(batch.tenant, quota_counts.ended(batch, (output, error)))
        try:
            self._table.transact(actions)
        except TransactionRefused:
            return self._was_ended_by(batch)
        return True

    def _was_ended_by(self, batch: Batch) -> bool:
        """Whether this step ended the batch although its response was lost: no other can in this epoch."""
        item = self._table.get(batch_key(batch.id))
        if item is None:
            return False
        stored = batch_from_item(item)
        return stored.status.is_terminal and stored.epoch == batch.epoch
