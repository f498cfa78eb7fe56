"""Shards on SQLite: epochs that fence off replaced workers, and the checkpoint transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from nightlane.domain.batch import Batch
from nightlane.domain.shard import Checkpoint, Shard, Suspicion
from nightlane.domain.stores import Fenced

from .database import Database
from .rows import find_batch, to_json, write_batch

_decode = msgspec.json.Decoder(Shard).decode


class SqliteShards:
    """The shard methods of `domain.stores.BatchStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_shard(self, shard: Shard, lane: int, forget_at: int | None = None) -> Shard:
        with self._database.write() as connection:
            stored = _find(connection, shard.batch_id, shard.index)
            if stored.finished or stored.epoch != shard.epoch:
                raise Fenced(f"shard {shard.index} of {shard.batch_id}")
            begun = replace(stored, lane=lane, epoch=stored.epoch + 1, strikes=stored.strikes + 1)
            connection.execute(
                "INSERT INTO shards (batch_id, number, forget_at, data) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET forget_at = excluded.forget_at, data = excluded.data",
                (shard.batch_id, shard.index, forget_at, to_json(begun)),
            )
        return begun

    def get_shard(self, batch_id: str, index: int) -> Shard:
        return _find(self._database.read(), batch_id, index)

    def shards(self, batch_id: str, first: int = 0) -> Iterator[Shard]:
        rows = self._database.read().execute(
            "SELECT data FROM shards WHERE batch_id = ? AND number >= ? ORDER BY number", (batch_id, first)
        )
        return (_decode(data) for (data,) in rows.fetchall())

    def forget_shards(self, batch_id: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM shards WHERE batch_id = ?", (batch_id,))

    def commit_checkpoint(self, shard: Shard, checkpoint: Checkpoint) -> Shard:
        with self._database.write() as connection:
            stored = _find(connection, shard.batch_id, shard.index)
            if (stored.epoch, stored.commits) == (shard.epoch, shard.commits + 1):
                # It has already been committed, but the caller did not learn of it.
                return stored
            batch = find_batch(connection, shard.batch_id)
            is_same_worker = (stored.epoch, stored.commits) == (shard.epoch, shard.commits)
            if batch is None or not batch.is_open or not is_same_worker:
                raise Fenced(f"shard {shard.index} of {shard.batch_id}")
            saved = _committed(stored, checkpoint)
            _write(connection, saved)
            write_batch(connection, _counted(batch, checkpoint))
        return saved

    def mark_suspect(self, shard: Shard, line: int) -> Shard:
        strikes = shard.suspect_strikes + 1 if shard.suspect == line else 1
        marked = self._update(shard, lambda stored: replace(stored, suspect=line, suspect_strikes=strikes))
        if marked is None:
            raise Fenced(f"shard {shard.index} of {shard.batch_id}")
        return marked

    def release_shard(self, shard: Shard, suspicions: Mapping[int, Suspicion]) -> None:
        self._update(
            shard,
            lambda stored: replace(
                stored, strikes=0, suspect=None, suspect_strikes=0, suspicions=dict(suspicions)
            ),
        )

    def _update(self, shard: Shard, change: Callable[[Shard], Shard]) -> Shard | None:
        """Change the stored shard; None if another worker has begun it since."""
        with self._database.write() as connection:
            stored = _find(connection, shard.batch_id, shard.index)
            if stored.epoch != shard.epoch:
                return None
            changed = change(stored)
            _write(connection, changed)
        return changed


def _find(connection: sqlite3.Connection, batch_id: str, index: int) -> Shard:
    row = connection.execute(
        "SELECT data FROM shards WHERE batch_id = ? AND number = ?", (batch_id, index)
    ).fetchone()
    return _decode(row[0]) if row else Shard(batch_id=batch_id, index=index)


def _write(connection: sqlite3.Connection, shard: Shard) -> None:
    connection.execute(
        "UPDATE shards SET data = ? WHERE batch_id = ? AND number = ?",
        (to_json(shard), shard.batch_id, shard.index),
    )


def _committed(shard: Shard, checkpoint: Checkpoint) -> Shard:
    return replace(
        shard,
        commits=shard.commits + 1,
        done=checkpoint.done,
        parts=shard.parts + ((checkpoint.part,) if checkpoint.part else ()),
        strikes=0,
        suspect=None,
        suspect_strikes=0,
        suspicions=checkpoint.suspicions,
        finished=checkpoint.finished,
    )


def _counted(batch: Batch, checkpoint: Checkpoint) -> Batch:
    return replace(
        batch,
        completed=batch.completed + checkpoint.completed,
        failed=batch.failed + checkpoint.failed,
        usage=batch.usage + checkpoint.usage,
        tally=batch.tally + checkpoint.tally,
        shards_done=batch.shards_done + checkpoint.finished,
        model=checkpoint.model or batch.model,
        trouble=None if checkpoint.completed else batch.trouble,
    )
