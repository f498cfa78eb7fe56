"""What has had its time goes from the database and the folder, and its space with it."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.home.blobs import FolderBlobs
from infra.home.database import DATABASE, Database
from infra.home.retention import forget
from nightlane.domain.batch import BatchStatus, Outcome
from nightlane.domain.files import delete_file
from nightlane.domain.sweeping import sweep
from nightlane.domain.trouble import Rest
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


def forget_at(database: Database, folder: Path, now: float) -> None:
    forget(database, FolderBlobs(folder), Settings(), now)


def test_a_shard_goes_when_its_time_has_come(database: Database, sqlite: Stores, tmp_path: Path) -> None:
    batch = running(sqlite.batches)
    sqlite.batches.begin_shard(batch.id, 0, NOW + 10)
    sqlite.batches.begin_shard(batch.id, 1, NOW + 20)
    for now, left in ((NOW + 9, 2), (NOW + 10, 1), (NOW + 20, 0)):
        forget_at(database, tmp_path, now)
        assert rows(database, "shards") == left


def test_a_rest_that_nobody_ended_goes_a_day_later(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    sqlite.upstreams.begin_rest("https://one.example/v1", Rest(NOW, 1, BUSY), None)
    forget_at(database, tmp_path, NOW + DAY - 1)
    assert sqlite.upstreams.get_rest("https://one.example/v1") is not None
    forget_at(database, tmp_path, NOW + DAY)
    assert rows(database, "rests") == 0


def test_a_deleted_file_keeps_its_place_for_a_week(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    for number in (1, 2):
        sqlite.files.put_file(file(number))
        sqlite.files.delete_file(file(number), NOW)
    sqlite.files.forget_file("file-1")
    forget_at(database, tmp_path, NOW + 7 * DAY - 1)
    assert sqlite.files.list_position("file-1", "acme") is not None
    forget_at(database, tmp_path, NOW + 7 * DAY)
    assert sqlite.files.list_position("file-1", "acme") is None
    # The sweeper has not removed this one's object yet.
    assert sqlite.files.list_position("file-2", "acme") is not None


def test_a_batch_goes_when_it_has_ended_and_its_files_have_expired(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    ended = assembling(sqlite.batches, running(sqlite.batches, 1))
    assert sqlite.batches.finish_batch(ended, Outcome.EXPIRED, NOW + DAY, None, None)
    open_batch = running(sqlite.batches, 2)
    forget_at(database, tmp_path, NOW + DAY + MONTH)
    assert sqlite.batches.get_batch(ended.id) is not None
    forget_at(database, tmp_path, NOW + 2 * DAY + MONTH + 1)
    assert sqlite.batches.get_batch(ended.id) is None
    assert sqlite.batches.get_batch(open_batch.id) is not None


def test_objects_of_expired_and_deleted_files_leave_the_folder(machine: OneMachine) -> None:
    kept, deleted = machine.create(3), machine.create(3)
    machine.work()
    output = machine.ports.files.get_file(machine.batch(deleted).output_file_id or "")
    assert output is not None
    delete_file(machine.ports, "acme", output.id)
    objects = machine.folder / "objects" / "files" / "acme"
    assert len(list(objects.iterdir())) == 3
    machine.skipped += MONTH + 10
    sweep(machine.ports)
    assert not objects.exists()
    assert machine.batch(kept).status is BatchStatus.COMPLETED
    machine.skipped += 7 * DAY
    assert machine.database is not None
    forget_at(machine.database, machine.folder, machine.now())
    assert [rows(machine.database, table) for table in ("files", "batches", "shards", "messages")] == [0] * 4


def test_an_object_that_a_crash_left_without_a_record_goes_an_hour_later(
    database: Database, sqlite: Stores, tmp_path: Path
) -> None:
    blobs, now = FolderBlobs(tmp_path), time.time()
    batch = running(sqlite.batches)
    sqlite.files.put_file(file(1))
    kept = [f"work/{batch.id}/parts/00000/1", file(1).blob_key]
    left = ["work/batch_unknown/input.jsonl", "files/acme/file-unknown"]
    for key in kept + left:
        blobs.put(key, b"object")
    forget(database, blobs, Settings(), now + 3_500)
    assert all(blobs.path(key).exists() for key in kept + left)
    forget(database, blobs, Settings(), now + 3_700)
    assert [key for key in kept + left if blobs.path(key).exists()] == kept


def test_the_database_shrinks_when_batches_go(database: Database, sqlite: Stores, tmp_path: Path) -> None:
    for number in range(300):
        batch = running(sqlite.batches, number)
        assert sqlite.batches.finish_batch(
            assembling(sqlite.batches, batch), Outcome.EXPIRED, NOW, None, None
        )
        sqlite.batches.create_batch(new_batch(1_000 + number), NOW)
    size = database.path.stat().st_size
    forget_at(database, tmp_path, NOW + 3 * DAY + MONTH)
    assert rows(database, "batches") == 300
    assert database.path.stat().st_size < size * 0.75
