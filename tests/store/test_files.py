"""File records, on every store."""

from msgspec.structs import replace

from nightlane.domain.file import FilePurpose
from nightlane.domain.stores import BatchStore, Due, FileStore
from tests.store.examples import NOW, file


def test_files_are_listed_in_either_order_across_purposes(files: FileStore) -> None:
    purposes = (FilePurpose.BATCH, FilePurpose.VISION, FilePurpose.BATCH_OUTPUT)
    for number in range(6):
        files.put_file(file(number, purposes[number % 3]))
    files.put_file(file(9, tenant="other"))
    newest = files.list_files("acme", purposes, None, 4, NOW, newest_first=True)
    assert [each.id for each in newest] == ["file-5", "file-4", "file-3", "file-2"]
    position = files.list_position("file-2", "acme")
    oldest = files.list_files("acme", purposes[:2], position, 10, NOW, newest_first=False)
    assert [each.id for each in oldest] == ["file-3", "file-4"]
    assert files.list_position("file-2", "other") is None


def test_a_deleted_file_keeps_its_position_in_the_list(files: FileStore, store: BatchStore) -> None:
    files.put_file(file(1))
    assert files.delete_file(file(1), NOW)
    assert not files.delete_file(file(1), NOW)
    assert files.get_file("file-1") is None
    assert files.get_file("file-1", deleted=True) == file(1)
    assert files.list_position("file-1", "acme") == file(1).listed
    assert list(store.due(NOW)) == [Due(file_id="file-1")]
    files.forget_file("file-1")
    files.forget_file("file-none")
    assert list(store.due(NOW + 10**6)) == []


def test_a_file_is_added_only_once_even_if_it_was_deleted(files: FileStore) -> None:
    assert files.add_file(file(1))
    assert not files.add_file(replace(file(1), size=8))
    assert files.get_file("file-1") == file(1)
    assert files.delete_file(file(1), NOW)
    assert not files.add_file(file(1))
    assert files.get_file("file-1") is None
