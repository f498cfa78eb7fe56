"""What the home forgets, and when: here is no TTL of DynamoDB's and no lifecycle rule of S3's."""

from collections.abc import Iterator

from infra.home.batches import SqliteBatches
from infra.home.blobs import FolderBlobs
from infra.home.database import Database
from infra.home.files import SqliteFiles
from nightlane.domain.file import TOMBSTONE_SECONDS
from nightlane.domain.ports import list_key
from nightlane.domain.trouble import REST_RETENTION_SECONDS
from nightlane.settings import Settings

DAY_SECONDS = 86_400
# The record of an object follows within milliseconds.
LEFTOVER_SECONDS = 3_600
# A few milliseconds each, so that nobody waits long.
PAGES_A_TRANSACTION = 1_000


def forget(database: Database, blobs: FolderBlobs, settings: Settings, now: float) -> None:
    """Delete what has had its time, and give its space back to the file system.

    Unlike on AWS that includes batches, once they have ended and their files have expired.
    """
    window = settings.completion_window_seconds
    # Its files may be as young as its end.
    oldest_batch = list_key(now - settings.batch_file_retention_seconds - window - DAY_SECONDS, "")
    for statement, value in (
        ("DELETE FROM shards WHERE forget_at <= ?", now),
        ("DELETE FROM rests WHERE json_extract(data, '$.until') <= ?", now - REST_RETENTION_SECONDS),
        ("DELETE FROM files WHERE deleted_at <= ? AND wake_at IS NULL", now - TOMBSTONE_SECONDS),
        ("DELETE FROM batches WHERE wake_at IS NULL AND listed < ?", oldest_batch),
    ):
        with database.write() as connection:
            connection.execute(statement, (value,))
    remove_leftovers(database, blobs, now - LEFTOVER_SECONDS)
    _shrink(database)


def remove_leftovers(database: Database, blobs: FolderBlobs, before: float) -> None:
    """Delete the objects put before then that no record names.

    Whoever dies between the object and its record leaves one, or finds the disk full there. An object that
    is younger may still get its record.
    """
    blobs.delete(list(_leftovers(database, blobs, before)))


def _leftovers(database: Database, blobs: FolderBlobs, before: float) -> Iterator[str]:
    files, batches = SqliteFiles(database), SqliteBatches(database)
    for key in blobs.keys("files", before):
        if files.get_file(key.rsplit("/", 1)[1]) is None:
            yield key
    for key in blobs.keys("work", before):
        batch = batches.get_batch(key.split("/")[1])
        if batch is None or batch.status.is_terminal:
            yield key


def _shrink(database: Database) -> None:
    left = True
    while left:
        with database.write() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({PAGES_A_TRANSACTION})").fetchall()
            (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    # The file itself is cut when the log has been written back to it.
    database.read().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
