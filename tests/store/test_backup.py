"""A backup of a data folder: whole, although the folder is being worked on."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.home.backup import TargetNotEmpty, back_up
from infra.home.blobs import FolderBlobs
from infra.home.database import DATABASE, Database, NoData
from infra.home.lock import nothing_deleted
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


def answers(folder: Path, batch_id: str) -> tuple[list[str], int]:
    """The custom ids that a copy ends with, and how many lines it asked for."""
    copy = OneMachine(folder)
    try:
        copy.skipped += copy.ports.settings.worker_lease_seconds + 1
        while not copy.batch(batch_id).status.is_terminal:
            sweep(copy.ports)
            copy.work()
            copy.skipped += 600
        assert copy.batch(batch_id).status is BatchStatus.COMPLETED
        return copy.answers(batch_id), copy.upstream.asked
    finally:
        copy.close()


@pytest.mark.parametrize("killed_at", [1, 12, 24])
def test_a_batch_goes_on_from_a_copy_made_in_its_middle(
    machine: OneMachine, tmp_path: Path, killed_at: int
) -> None:
    batch_id = machine.create(LINES)
    machine.upstream.deadly = {killed_at}
    with pytest.raises((Killed, BaseExceptionGroup)):
        machine.work()
    committed = machine.batch(batch_id).completed
    back_up(tmp_path / "data", tmp_path / "copy")
    names, asked = answers(tmp_path / "copy", batch_id)
    assert names == [f"request-{number}" for number in range(LINES)]
    assert asked == LINES - committed


def test_copies_made_while_batches_run_and_end_are_all_whole(machine: OneMachine, tmp_path: Path) -> None:
    working, made = threading.Event(), 0

    def copy_again_and_again() -> None:
        nonlocal made
        while not working.is_set():
            back_up(tmp_path / "data", tmp_path / f"copy-{made}")
            made += 1

    copying = threading.Thread(target=copy_again_and_again)
    copying.start()
    while made < 2:
        machine.create(LINES)
        machine.work()
    working.set()
    copying.join()
    for number in range(made):
        folder = tmp_path / f"copy-{number}"
        with closing(Database(folder / DATABASE)) as database:
            listed = [name for (name,) in database.read().execute("SELECT id FROM batches")]
        for batch_id in listed:
            assert answers(folder, batch_id)[0] == [f"request-{line}" for line in range(LINES)]


def test_a_deletion_waits_until_a_backup_has_seen_what_there_is(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    blobs.put("files/acme/1", b"content")
    deletion = threading.Thread(target=blobs.delete, args=(["files/acme/1"],))
    with nothing_deleted(tmp_path):
        deletion.start()
        blobs.put("files/acme/2", b"other")
        assert blobs.get("files/acme/1") == b"content"
    deletion.join()
    assert [path.name for path in (tmp_path / "objects/files/acme").iterdir()] == ["2"]


def test_what_is_deleted_after_a_backup_is_in_the_copy(machine: OneMachine, tmp_path: Path) -> None:
    batch_id = machine.create(3)
    machine.work()
    made = back_up(tmp_path / "data", tmp_path / "copy")
    assert made.objects == 2
    delete_file(machine.ports, "acme", machine.batch(batch_id).output_file_id or "")
    assert answers(tmp_path / "copy", batch_id)[0] == ["request-0", "request-1", "request-2"]
    # The copy has files of its own.
    assert not (tmp_path / "data" / "backing-up").exists()
    originals = {path.stat().st_ino for path in (tmp_path / "data" / "objects").rglob("*")}
    assert originals.isdisjoint(path.stat().st_ino for path in (tmp_path / "copy" / "objects").rglob("*"))


def test_a_backup_goes_to_an_empty_folder_and_comes_from_a_data_folder(
    machine: OneMachine, tmp_path: Path
) -> None:
    with pytest.raises(TargetNotEmpty):
        back_up(tmp_path / "data", tmp_path)
    with pytest.raises(NoData):
        back_up(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_backup_that_fails_is_no_data_folder(
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
