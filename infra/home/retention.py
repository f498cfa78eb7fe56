"""Deletes expired data, as DynamoDB's TTL and S3's lifecycle rules do on AWS."""

from collections.abc import Iterator
from itertools import chain, groupby

from nightlane.domain.file import TOMBSTONE_SECONDS
from nightlane.domain.learned import LEARNED_SECONDS
from nightlane.domain.stores import list_key
from nightlane.domain.trouble import REST_RETENTION_SECONDS
from nightlane.domain.upload import FORGET_SECONDS, UploadStatus
from nightlane.domain.upstream_use import first_hour
from nightlane.domain.webhook import EVENT_SECONDS
from nightlane.domain.window import DAY_SECONDS, longest_window_seconds
from nightlane.settings import Settings

from .batches import SqliteBatches
from .blobs import FolderBlobs
from .database import Database
from .files import SqliteFiles
from .uploads import SqliteUploads

# An object normally gets its record within milliseconds.
ORPHAN_AGE_SECONDS = 3_600
# Takes a few milliseconds, so that other writers do not wait long.
PAGES_PER_TRANSACTION = 1_000


def purge_expired(database: Database, blobs: FolderBlobs, settings: Settings, now: float) -> None:
    """Delete expired data, and return the space to the file system.

    Unlike on AWS, this includes batches that have ended and whose files have expired.
    """
    window = longest_window_seconds(settings)
    # Its files may have been created as late as its end.
    oldest_batch = list_key(now - settings.batch_file_retention_seconds - window - DAY_SECONDS, "")
    for statement, value in (
        ("DELETE FROM shards WHERE forget_at <= ?", now),
        ("DELETE FROM drains WHERE forget_at <= ?", now),
        ("DELETE FROM rests WHERE json_extract(data, '$.until') <= ?", now - REST_RETENTION_SECONDS),
        ("DELETE FROM learned_limits WHERE at <= ?", now - LEARNED_SECONDS),
        ("DELETE FROM upstream_use WHERE hour < ?", first_hour(now)),
        ("DELETE FROM files WHERE deleted_at <= ? AND wake_at IS NULL", now - TOMBSTONE_SECONDS),
        ("DELETE FROM uploads WHERE expires_at <= ?", now - FORGET_SECONDS),
        ("DELETE FROM events WHERE wake_at <= ?", now - EVENT_SECONDS),
        ("DELETE FROM batches WHERE wake_at IS NULL AND listed < ?", oldest_batch),
    ):
        with database.write() as connection:
            connection.execute(statement, (value,))
    remove_orphans(database, blobs, now - ORPHAN_AGE_SECONDS)
    _shrink(database)


def remove_orphans(database: Database, blobs: FolderBlobs, before: float) -> None:
    """Delete objects that have no record and were put before `before`, in seconds since 1970.

    A process leaves one behind if it crashes, or the disk is full, after it has stored the object and before
    it has stored the record. A newer object may still get its record.
    """
    blobs.delete(list(_orphans(database, blobs, before)))


def _orphans(database: Database, blobs: FolderBlobs, before: float) -> Iterator[str]:
    files, batches, uploads = SqliteFiles(database), SqliteBatches(database), SqliteUploads(database)
    for key in chain(blobs.keys("files", before), blobs.keys("direct", before)):
        if files.get_file(key.rsplit("/", 1)[1]) is None:
            yield key
    for key in blobs.keys("work", before):
        batch = batches.get_batch(key.split("/")[1])
        if batch is None or batch.status.is_terminal:
            yield key
    for _, group in groupby(blobs.keys("uploads", before), key=lambda key: key.rsplit("/", 1)[0]):
        parts = set(group)
        upload = uploads.get_upload(next(iter(parts)).split("/")[2])
        is_open = upload is not None and upload.status is UploadStatus.PENDING
        yield from parts - set(upload.part_keys() if upload and is_open else ())


def _shrink(database: Database) -> None:
    left = True
    while left:
        with database.write() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({PAGES_PER_TRANSACTION})").fetchall()
            (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    # The database file is truncated when the log has been copied back into it.
    database.read().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
