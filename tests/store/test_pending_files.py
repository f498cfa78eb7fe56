"""Files whose content is awaited, on every store."""

import pytest
from msgspec.structs import replace

from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.stores import BatchStore, Due, FileStore
from tests.store.examples import NOW, file

UNTIL = NOW + 50


def pending(number: int = 1, expires_at: int | None = NOW + 100) -> StoredFile:
    return replace(file(number), is_direct=True, pending_until=UNTIL, expires_at=expires_at)


def listed(files: FileStore) -> list[StoredFile]:
    return files.list_files("acme", [FilePurpose.BATCH], None, 10, NOW, newest_first=True)


@pytest.mark.parametrize("expires_at", [NOW + 100, None])
def test_a_pending_file_is_listed_once_it_is_complete(files: FileStore, expires_at: int | None) -> None:
    awaited = pending(expires_at=expires_at)
    files.put_file(awaited)
    assert files.get_file(awaited.id) == awaited
    assert listed(files) == []
    assert files.complete_file(awaited)
    complete = replace(awaited, pending_until=None)
    assert files.get_file(awaited.id) == complete
    assert listed(files) == [complete]


def test_a_file_is_completed_once(files: FileStore) -> None:
    files.put_file(pending())
    assert files.complete_file(pending())
    assert not files.complete_file(pending())
    assert not files.refuse_file(pending().id, "not JSON")
    assert not files.complete_file(pending(2))
    assert not files.refuse_file("file-2", "not JSON")


def test_a_deleted_file_is_not_completed(files: FileStore) -> None:
    files.put_file(pending())
    assert files.delete_file(pending(), NOW)
    assert not files.complete_file(pending())
    assert not files.refuse_file(pending().id, "not JSON")
    assert listed(files) == []


def test_a_file_that_was_just_completed_is_not_deleted_as_a_pending_one(files: FileStore) -> None:
    files.put_file(pending())
    assert files.complete_file(pending())
    assert not files.delete_file(pending(), NOW)
    assert files.delete_file(replace(pending(), pending_until=None), NOW)


def test_a_refused_file_keeps_the_reason_until_it_is_complete(files: FileStore) -> None:
    files.put_file(pending())
    assert files.refuse_file(pending().id, "not «JSON»")
    refused = replace(pending(), problem="not «JSON»")
    assert files.get_file(refused.id) == refused
    assert listed(files) == []
    assert files.complete_file(refused)
    assert files.get_file(refused.id) == replace(pending(), pending_until=None)


@pytest.mark.parametrize("expires_at", [NOW + 100, None])
def test_the_sweeper_sees_a_pending_file_when_it_can_no_longer_arrive(
    files: FileStore, store: BatchStore, expires_at: int | None
) -> None:
    files.put_file(pending(expires_at=expires_at))
    assert list(store.due(UNTIL - 1)) == []
    assert list(store.due(UNTIL)) == [Due(file_id="file-1")]
    assert files.complete_file(pending(expires_at=expires_at))
    assert list(store.due(UNTIL)) == []
    assert list(store.due(NOW + 100)) == ([Due(file_id="file-1")] if expires_at else [])
