"""Converts between rows of the database and domain objects, within transactions."""

import sqlite3
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.file import StoredFile

from .database import Database

# Sorts after every list key, because those begin with a digit.
LAST = "~"
_decode_batch = msgspec.json.Decoder(Batch).decode


def to_json(thing: object) -> str:
    """Encode as text, so that an operator can read it with any SQLite client."""
    return msgspec.json.encode(thing).decode()


def batch_from_json(data: str) -> Batch:
    """Decode a stored batch."""
    return _decode_batch(data)


def find_batch(connection: sqlite3.Connection, batch_id: str) -> Batch | None:
    """The batch as this transaction sees it; None if it does not exist."""
    row = connection.execute("SELECT data FROM batches WHERE id = ?", (batch_id,)).fetchone()
    return _decode_batch(row[0]) if row else None


def write_batch(connection: sqlite3.Connection, batch: Batch, **columns: int | None) -> None:
    """Replace an existing batch, and set columns of its row."""
    assignments = "".join(f", {name} = :{name}" for name in columns)
    values = {"id": batch.id, "data": to_json(batch)} | columns
    connection.execute(f"UPDATE batches SET data = :data{assignments} WHERE id = :id", values)


def update_batch(
    database: Database,
    batch_id: str,
    condition: Callable[[Batch], bool],
    change: Callable[[Batch], Batch] = lambda stored: stored,
    **columns: int | None,
) -> Batch | None:
    """Update a batch if a condition holds. Returns the new batch, or None if nothing was updated."""
    with database.write() as connection:
        stored = find_batch(connection, batch_id)
        if stored is None or not condition(stored):
            return None
        changed = change(stored)
        write_batch(connection, changed, **columns)
    return changed


def insert_file(connection: sqlite3.Connection, file: StoredFile) -> None:
    """Store a new record; the sweeper looks at it again at its end."""
    connection.execute(
        "INSERT INTO files (id, tenant, purpose, listed, expires_at, wake_at, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            file.id,
            file.tenant,
            file.purpose.value,
            file.listed,
            file.expires_at,
            file.ends_at,
            to_json(file),
        ),
    )


def next_epoch(batch: Batch) -> Batch:
    return replace(batch, epoch=batch.epoch + 1)


def is_active(batch: Batch) -> bool:
    return not batch.status.is_terminal


def is_unplanned(batch: Batch) -> bool:
    return batch.status is BatchStatus.VALIDATING and not batch.is_planned and batch.outcome is None


def is_unfinished(batch: Batch) -> bool:
    return batch.outcome is not None and is_active(batch)
