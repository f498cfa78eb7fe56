"""Expired data is deleted from the database and the folder, and its space is returned."""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra.home.blobs import FolderBlobs
from infra.home.database import DATABASE, Database
from infra.home.retention import purge_expired
from nightlane.domain.batch import BatchStatus, Outcome
from nightlane.domain.file import FilePurpose
from nightlane.domain.files import delete_file
from nightlane.domain.quotas import NO_QUOTA
from nightlane.domain.received import InMemory
from nightlane.domain.sweeping import sweep
from nightlane.domain.trouble import Rest
from nightlane.domain.uploads import add_part, complete_upload, create_upload
from nightlane.domain.upstream_use import UpstreamUse, hour_of
from nightlane.settings import Settings
from tests.store.conftest import Stores, on_sqlite
from tests.store.examples import BUSY, NOW, assembling, file, new_batch, running
from tests.store.machine import OneMachine

DAY = 86_400
MONTH = 30 * DAY


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / DATABASE)) as opened:
        yield opened


@pytest.fixture
def sqlite(database: Database) -> Stores:
    return on_sqlite(database)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    made = OneMachine(tmp_path)
    yield made
    made.close()


def rows(database: Database, table: str) -> int:
    (count,) = database.read().execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(count)


def purge_at(database: Database, folder: Path, now: float) -> None:
    purge_expired(database, FolderBlobs(folder), Settings(), now)


def test_a_shard_is_deleted_when_it_expires(database: Database, sqlite: Stores, tmp_path: Path) -> None:
    batch = running(sqlite.batches)
    sqlite.batches.begin_shard(sqlite.batches.get_shard(batch.id, 0), 0, NOW + 10)
    sqlite.batches.begin_shard(sqlite.batches.get_shard(batch.id, 1), 0, NOW + 20)
    for now, left in ((NOW + 9, 2), (NOW + 10, 1), (NOW + 20, 0)):
        purge_at(database, tmp_path, now)
        assert rows(database, "shards") == left


def test_a_rest_that_was_never_ended_is_deleted_a_day_later(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    sqlite.upstreams.begin_rest("https://one.example/v1", Rest(NOW, 1, BUSY), None)
    purge_at(database, tmp_path, NOW + DAY - 1)
    assert sqlite.upstreams.get_rest("https://one.example/v1") is not None
    purge_at(database, tmp_path, NOW + DAY)
    assert rows(database, "rests") == 0


def test_the_use_of_an_upstream_is_forgotten_after_a_day(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    use = UpstreamUse(hour_of(NOW), 1, 0)
    sqlite.upstreams.note_use("one", use)
    purge_at(database, tmp_path, NOW + 22 * 3_600)
    assert sqlite.upstreams.uses("one", 0) == [use]
    purge_at(database, tmp_path, NOW + 24 * 3_600)
    assert sqlite.upstreams.uses("one", 0) == []


def test_a_deleted_file_keeps_its_list_position_for_a_week(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    for number in (1, 2):
        sqlite.files.put_file(file(number))
        sqlite.files.delete_file(file(number), NOW)
    sqlite.files.forget_file("file-1")
    purge_at(database, tmp_path, NOW + 7 * DAY - 1)
    assert sqlite.files.list_position("file-1", "acme") is not None
    purge_at(database, tmp_path, NOW + 7 * DAY)
    assert sqlite.files.list_position("file-1", "acme") is None
    # The sweeper has not deleted the object of this file yet.
    assert sqlite.files.list_position("file-2", "acme") is not None


def test_a_batch_is_deleted_once_it_has_ended_and_its_files_have_expired(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    ended = assembling(sqlite.batches, running(sqlite.batches, 1))
    assert sqlite.batches.finish_batch(ended, Outcome.EXPIRED, NOW + DAY, None, None)
    open_batch = running(sqlite.batches, 2)
    purge_at(database, tmp_path, NOW + 7 * DAY + MONTH)
    assert sqlite.batches.get_batch(ended.id) is not None
    purge_at(database, tmp_path, NOW + 8 * DAY + MONTH + 1)
    assert sqlite.batches.get_batch(ended.id) is None
    assert sqlite.batches.get_batch(open_batch.id) is not None


def test_objects_of_expired_and_deleted_files_are_deleted(machine: OneMachine) -> None:
    kept, deleted = machine.create(3), machine.create(3)
    machine.work()
    output = machine.ports.files.get_file(machine.batch(deleted).output_file_id or "")
    assert output is not None
    delete_file(machine.ports, "acme", output.id)
    objects = machine.folder / "objects" / "files" / "acme"
    assert len(list(objects.iterdir())) == 3
    machine.clock_offset += MONTH + 10
    sweep(machine.ports)
    assert not objects.exists()
    assert machine.batch(kept).status is BatchStatus.COMPLETED
    machine.clock_offset += 9 * DAY
    assert machine.database is not None
    purge_at(machine.database, machine.folder, machine.now())
    assert [rows(machine.database, table) for table in ("files", "batches", "shards", "messages")] == [0] * 4


def test_an_object_without_a_record_is_deleted_after_an_hour(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    blobs, now = FolderBlobs(tmp_path), time.time()
    batch = running(sqlite.batches)
    sqlite.files.put_file(file(1))
    kept = [f"work/{batch.id}/parts/00000/1", file(1).blob_key]
    orphans = ["work/batch_unknown/input.jsonl", "files/acme/file-unknown", "direct/acme/file-unknown"]
    for key in kept + orphans:
        blobs.put(key, b"object")
    purge_expired(database, blobs, Settings(), now + 3_500)
    assert all(blobs.path(key).exists() for key in kept + orphans)
    purge_expired(database, blobs, Settings(), now + 3_700)
    assert [key for key in kept + orphans if blobs.path(key).exists()] == kept


def test_parts_are_deleted_when_their_upload_ends_or_is_forgotten(machine: OneMachine) -> None:
    ports, database = machine.ports, machine.database
    assert database is not None

    def begin(size: int) -> tuple[str, str]:
        options: Any = {"filename": "a", "purpose": FilePurpose.USER_DATA, "lifetime": None}
        upload = create_upload(ports, "acme", size=size, **options)
        return upload.id, add_part(ports, "acme", upload.id, InMemory(b"x" * size)).id

    def stored() -> set[str]:
        return {key.rsplit("/", 1)[1] for key in FolderBlobs(machine.folder).keys("uploads", math.inf)}

    (open_id, open_part), (done_id, done_part) = begin(3), begin(4)
    lost = [f"uploads/acme/{open_id}/part_unrecorded", "uploads/acme/upload_unknown/part_1"]
    for key in lost:
        ports.blobs.put(key, b"x")
    complete_upload(ports, "acme", done_id, [done_part], None, NO_QUOTA)
    # As after a crash just before the parts are deleted.
    ports.blobs.put(f"uploads/acme/{done_id}/{done_part}", b"xxxx")
    machine.clock_offset += 2 * 3_600
    purge_at(database, machine.folder, machine.now())
    assert stored() == {open_part}
    machine.clock_offset += DAY
    purge_at(database, machine.folder, machine.now())
    assert (stored(), rows(database, "uploads")) == (set(), 0)


def test_deleting_batches_shrinks_the_database(database: Database, sqlite: Stores, tmp_path: Path) -> None:
    for number in range(300):
        batch = running(sqlite.batches, number)
        assert sqlite.batches.finish_batch(
            assembling(sqlite.batches, batch), Outcome.EXPIRED, NOW, None, None
        )
        sqlite.batches.create_batch(new_batch(1_000 + number), NOW)
    size = database.path.stat().st_size
    purge_at(database, tmp_path, NOW + 9 * DAY + MONTH)
    assert rows(database, "batches") == 300
    assert database.path.stat().st_size < size * 0.75
