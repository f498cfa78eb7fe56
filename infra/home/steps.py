"""Planning and assembly on SQLite: only the step with the newest epoch may write."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from nightlane.domain import quota_counts
from nightlane.domain.batch import Batch, BatchError, BatchStatus, Outcome
from nightlane.domain.file import StoredFile
from nightlane.domain.quotas import NO_SIZE, BatchSize
from nightlane.domain.webhook import event_of

from . import quotas
from .database import Database
from .rows import (
    find_batch,
    insert_file,
    is_active,
    is_unfinished,
    is_unplanned,
    next_epoch,
    update_batch,
    write_batch,
)
from .webhooks import insert_event


class SqliteSteps:
    """`domain.stores.StepStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_planning(self, batch_id: str, wake_at: int) -> Batch | None:
        return update_batch(self._database, batch_id, is_unplanned, next_epoch, wake_at=wake_at)

    def begin_assembly(self, batch_id: str, wake_at: int) -> Batch | None:
        return update_batch(self._database, batch_id, is_unfinished, next_epoch, wake_at=wake_at)

    def hold_step(self, batch: Batch, wake_at: int) -> bool:
        def holds(stored: Batch) -> bool:
            return (stored.epoch, stored.status) == (batch.epoch, batch.status) and is_active(stored)

        return update_batch(self._database, batch.id, holds, wake_at=wake_at) is not None

    def fail_batch(self, batch: Batch, errors: Sequence[BatchError], at: int) -> bool:
        with self._database.write() as connection:
            stored = find_batch(connection, batch.id)
            if stored is not None and is_unplanned(stored) and stored.epoch == batch.epoch:
                failed = replace(stored, status=BatchStatus.FAILED, failed_at=at, errors=tuple(errors))
                write_batch(connection, failed, wake_at=None)
                insert_event(connection, event_of(batch, BatchStatus.FAILED, at))
                return True
        return self._was_ended_by(batch)

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
        with self._database.write() as connection:
            stored = find_batch(connection, batch.id)
            if stored is None or not is_unplanned(stored) or stored.epoch != batch.epoch:
                return stored is not None and stored.manifest_key == manifest_key
            planned = replace(
                stored,
                manifest_key=manifest_key,
                shards_total=shards,
                total=total,
                validated_at=at,
                size=size,
                model=model or stored.model,
            )
            write_batch(connection, planned, wake_at=batch.expires_at, waiting=True)
            counts = quota_counts.planned(planned, total, size)
            quotas.count(connection, planned.tenant, counts, tokens_until=planned.expires_at)
        return True

    def note_output_problem(self, batch: Batch, problem: str | None) -> None:
        def is_ours(stored: Batch) -> bool:
            return is_unfinished(stored) and stored.epoch == batch.epoch

        def note(stored: Batch) -> Batch:
            return replace(stored, output_problem=problem)

        update_batch(self._database, batch.id, is_ours, note)

    def finish_batch(
        self,
        batch: Batch,
        outcome: Outcome,
        at: int,
        output: StoredFile | None,
        error: StoredFile | None,
        history: str | None = None,
    ) -> bool:
        times: dict[str, Any] = {f"{outcome.value}_at": at}
        with self._database.write() as connection:
            stored = find_batch(connection, batch.id)
            if (
                stored is not None
                and (stored.epoch, stored.status) == (batch.epoch, batch.status)
                and is_unfinished(stored)
            ):
                ended = replace(
                    stored,
                    status=BatchStatus(outcome.value),
                    outcome=outcome,
                    output_file_id=output.id if output else None,
                    error_file_id=error.id if error else None,
                    history=history,
                    **times,
                )
                write_batch(connection, ended, wake_at=None, waiting=False, admitted=False)
                files = [file for file in (output, error) if file is not None]
                for file in files:
                    insert_file(connection, file)
                insert_event(connection, event_of(batch, ended.status, at))
                quotas.count(connection, ended.tenant, quota_counts.ended(ended, files))
                return True
        return self._was_ended_by(batch)

    def _was_ended_by(self, batch: Batch) -> bool:
        """Whether the same step has already ended it: only the holder of the epoch can have."""
        stored = find_batch(self._database.read(), batch.id)
        return stored is not None and stored.status.is_terminal and stored.epoch == batch.epoch
