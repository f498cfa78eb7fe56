"""Batches on SQLite: each method is one transaction that reads a batch, checks it and writes it."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from nightlane.domain import quota_counts
from nightlane.domain.admission_order import Slots, Waiting
from nightlane.domain.batch import Batch, BatchStatus, Outcome
from nightlane.domain.quotas import QuotaReached
from nightlane.domain.stores import Admission, Due
from nightlane.domain.trouble import Trouble

from . import quotas
from .database import Database
from .drains import SqliteDrains
from .rows import LAST, batch_from_json, find_batch, is_active, to_json, update_batch, write_batch
from .shards import SqliteShards
from .steps import SqliteSteps

CANCELLABLE = frozenset({BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS, BatchStatus.FINALIZING})


class SqliteBatches:
    """`domain.stores.BatchStore` on SQLite. A batch has a `wake_at` until it has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        steps, shards = SqliteSteps(database), SqliteShards(database)
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
        drains = SqliteDrains(database)
        self.put_drain, self.end_drain, self.drains = drains.put_drain, drains.end_drain, drains.drains

    def create_batch(self, batch: Batch, wake_at: int) -> Batch | None:
        with self._database.write() as connection:
            stored = find_batch(connection, batch.id)
            if stored is None:
                connection.execute(
                    "INSERT INTO batches (id, tenant, listed, wake_at, data) VALUES (?, ?, ?, ?, ?)",
                    (batch.id, batch.tenant, batch.listed, wake_at, to_json(batch)),
                )
                quotas.count_creation(connection, batch)
        return stored

    def get_batch(self, batch_id: str) -> Batch | None:
        return find_batch(self._database.read(), batch_id)

    def list_batches(self, tenant: str, after: str | None, limit: int) -> list[Batch]:
        rows = self._database.read().execute(
            "SELECT data FROM batches WHERE tenant = ? AND listed < ? ORDER BY listed DESC LIMIT ?",
            (tenant, after or LAST, limit),
        )
        return [batch_from_json(data) for (data,) in rows]

    def waiting_batches(self) -> Iterator[Waiting]:
        rows = self._database.read().execute(
            "SELECT id, tenant, json_extract(data, '$.expires_at'), listed FROM batches WHERE waiting"
            " ORDER BY listed"
        )
        return iter([Waiting(*row) for row in rows])

    def slots(self) -> Slots:
        connection = self._database.read()
        running = connection.execute("SELECT id, tenant FROM batches WHERE admitted").fetchall()
        row = connection.execute("SELECT recent FROM admission WHERE id = 1").fetchone()
        return Slots(dict(running), msgspec.json.decode(row[0], type=tuple[str, ...]) if row else ())

    def due(self, now: int) -> Iterator[Due]:
        connection = self._database.read()
        due_by = "WHERE wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at"
        batches = connection.execute(f"SELECT id FROM batches {due_by}", (now,)).fetchall()
        files = connection.execute(f"SELECT id FROM files {due_by}", (now,)).fetchall()
        yield from (Due(batch_id=batch_id) for (batch_id,) in batches)
        yield from (Due(file_id=file_id) for (file_id,) in files)

    def admit_batch(
        self, batch: Batch, limit: int, at: int, wake_at: int, *, recent: Sequence[str]
    ) -> Admission:
        with self._database.write() as connection:
            stored = find_batch(connection, batch.id)
            if stored is None or not stored.is_waiting:
                return Admission.NOT_WAITING
            (admitted,) = connection.execute("SELECT count(*) FROM batches WHERE admitted").fetchone()
            if admitted >= limit:
                return Admission.FULL
            begun = replace(stored, status=BatchStatus.IN_PROGRESS, in_progress_at=at)
            try:
                quotas.count(connection, begun.tenant, quota_counts.admitted(begun))
            except QuotaReached:
                return Admission.TENANT_FULL
            write_batch(connection, begun, wake_at=wake_at, waiting=False, admitted=True)
            connection.execute(
                "INSERT INTO admission VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET recent = excluded.recent",
                (to_json(recent),),
            )
        return Admission.ADMITTED

    def record_dispatch(self, batch_id: str, attempt: int, wake_at: int) -> None:
        update_batch(
            self._database,
            batch_id,
            lambda stored: is_active(stored) and stored.outcome is None,
            lambda stored: replace(stored, dispatches=attempt, is_resting=False),
            wake_at=wake_at,
        )

    def request_cancel(self, batch_id: str, at: int, wake_at: int) -> Batch | None:
        return update_batch(
            self._database,
            batch_id,
            lambda stored: stored.status in CANCELLABLE,
            lambda stored: replace(stored, status=BatchStatus.CANCELLING, cancelling_at=at),
            wake_at=wake_at,
        )

    def close_batch(self, batch: Batch, outcome: Outcome, at: int, wake_at: int, *, drained: bool) -> bool:
        def may_close(stored: Batch) -> bool:
            is_drained = stored.shards_done >= stored.shards_total
            return stored.status is batch.status and stored.outcome is None and (is_drained or not drained)

        def close(stored: Batch) -> Batch:
            closed = replace(stored, outcome=outcome)
            if stored.status is not BatchStatus.IN_PROGRESS:
                return closed
            return replace(closed, status=BatchStatus.FINALIZING, finalizing_at=at)

        return update_batch(self._database, batch.id, may_close, close, wake_at=wake_at) is not None

    def note_trouble(self, batch_id: str, trouble: Trouble) -> None:
        update_batch(
            self._database,
            batch_id,
            lambda stored: is_active(stored) and stored.outcome is None,
            lambda stored: replace(stored, trouble=trouble),
        )

    def rest_batch(self, batch_id: str, wake_at: int) -> bool:
        rested = update_batch(
            self._database,
            batch_id,
            lambda stored: stored.status is BatchStatus.IN_PROGRESS and stored.outcome is None,
            lambda stored: replace(stored, is_resting=True),
            wake_at=wake_at,
        )
        return rested is not None

    def record_sweep(self, batch: Batch, progress: int, wake_at: int) -> None:
        update_batch(
            self._database,
            batch.id,
            lambda stored: stored.status is batch.status and is_active(stored),
            lambda stored: replace(stored, progress_seen=progress),
            wake_at=wake_at,
        )
