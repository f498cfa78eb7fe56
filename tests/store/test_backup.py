"""A backup of a data folder is consistent, even if a server is using the folder."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.home.backup import TargetNotEmpty, back_up
from infra.home.blobs import FolderBlobs
from infra.home.database import DATABASE, Database, NoData
from infra.home.lock import deletions_blocked
from nightlane.domain.batch import BatchStatus
from nightlane.domain.files import delete_file
from nightlane.domain.sweeping import sweep
from tests.store.machine import Killed, OneMachine

LINES = 25


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    made = OneMachine(tmp_path / "data")
    yield made
    made.close()


def complete(folder: Path, batch_id: str) -> tuple[list[str], int]:
    """Complete a batch on a copy. Returns the custom ids in its output and the number of requests sent."""
    copy = OneMachine(folder)
    try:
        copy.clock_offset += copy.ports.settings.worker_lease_seconds + 1
        while not copy.batch(batch_id).status.is_terminal:
            sweep(copy.ports)
            copy.work()
            copy.clock_offset += 600
        assert copy.batch(batch_id).status is BatchStatus.COMPLETED
        return copy.output_ids(batch_id), copy.upstream.received
    finally:
        copy.close()


@pytest.mark.parametrize("killed_at", [1, 12, 24])
def test_a_batch_continues_from_a_backup_made_while_it_ran(
    machine: OneMachine, tmp_path: Path, killed_at: int
) -> None:
    batch_id = machine.create(LINES)
    machine.upstream.kill_at = {killed_at}
    with pytest.raises((Killed, BaseExceptionGroup)):
        machine.work()
    committed = machine.batch(batch_id).completed
    back_up(tmp_path / "data", tmp_path / "copy")
    ids, sent = complete(tmp_path / "copy", batch_id)
    assert ids == [f"request-{number}" for number in range(LINES)]
    assert sent == LINES - committed


def test_backups_made_while_batches_run_and_end_are_all_consistent(
    machine: OneMachine, tmp_path: Path
) -> None:
    finished, made = threading.Event(), 0

    def copy_repeatedly() -> None:
        nonlocal made
        while not finished.is_set():
            back_up(tmp_path / "data", tmp_path / f"copy-{made}")
            made += 1

    copying = threading.Thread(target=copy_repeatedly)
    copying.start()
    while made < 2:
        machine.create(LINES)
        machine.work()
    finished.set()
    copying.join()
    for number in range(made):
        folder = tmp_path / f"copy-{number}"
        with closing(Database(folder / DATABASE)) as database:
            listed = [name for (name,) in database.read().execute("SELECT id FROM batches")]
        for batch_id in listed:
            assert complete(folder, batch_id)[0] == [f"request-{line}" for line in range(LINES)]


def test_a_deletion_waits_until_a_backup_has_listed_the_objects(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    blobs.put("files/acme/1", b"content")
    deletion = threading.Thread(target=blobs.delete, args=(["files/acme/1"],))
    with deletions_blocked(tmp_path):
        deletion.start()
        blobs.put("files/acme/2", b"other")
        assert blobs.get("files/acme/1") == b"content"
    deletion.join()
    assert [path.name for path in (tmp_path / "objects/files/acme").iterdir()] == ["2"]


def test_a_file_deleted_after_a_backup_is_in_the_copy(machine: OneMachine, tmp_path: Path) -> None:
    batch_id = machine.create(3)
    machine.work()
    made = back_up(tmp_path / "data", tmp_path / "copy")
    assert made.objects == 2
    delete_file(machine.ports, "acme", machine.batch(batch_id).output_file_id or "")
    assert complete(tmp_path / "copy", batch_id)[0] == ["request-0", "request-1", "request-2"]
    # The copy does not share files with the original.
    assert not (tmp_path / "data" / "backing-up").exists()
    originals = {path.stat().st_ino for path in (tmp_path / "data" / "objects").rglob("*")}
    assert originals.isdisjoint(path.stat().st_ino for path in (tmp_path / "copy" / "objects").rglob("*"))


def test_a_backup_requires_a_data_folder_and_an_empty_target(machine: OneMachine, tmp_path: Path) -> None:
    with pytest.raises(TargetNotEmpty):
        back_up(tmp_path / "data", tmp_path)
    with pytest.raises(NoData):
        back_up(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_failed_backup_is_not_a_data_folder(
    machine: OneMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.create(3)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("shutil.copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            back_up(tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "copy" / DATABASE).exists()
    assert not (tmp_path / "data" / "backing-up").exists()
    assert back_up(tmp_path / "data", tmp_path / "again").objects == 1
