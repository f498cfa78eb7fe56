"""Uploads in parts, on every store."""

import pytest

from nightlane.domain.file import FilePurpose
from nightlane.domain.stores import FileStore
from nightlane.domain.upload import MAX_PARTS, Completion, Upload, UploadPart, UploadStatus
from nightlane.domain.upload_store import UploadStore
from tests.store.conftest import Stores
from tests.store.examples import NOW, file

FIRST, SECOND = UploadPart("part_1", 3), UploadPart("part_2", 4)
COMPLETION = Completion("file-1", "fingerprint", "composition")
OTHER = Completion("file-2", "other", "composition")


@pytest.fixture
def upload(uploads: UploadStore) -> Upload:
    made = Upload(
        id="upload_1",
        tenant="acme",
        filename="中.jsonl",
        purpose=FilePurpose.BATCH,
        size=7,
        lifetime=None,
        created_at=NOW,
        expires_at=NOW + 3_600,
    )
    uploads.create_upload(made)
    return made


def look(uploads: UploadStore) -> Upload:
    found = uploads.get_upload("upload_1")
    assert found is not None
    return found


def test_a_new_upload_is_read_as_it_was_stored(uploads: UploadStore, upload: Upload) -> None:
    assert look(uploads) == upload
    assert uploads.get_upload("upload_2") is None


def test_parts_are_added_until_the_upload_expires(uploads: UploadStore, upload: Upload) -> None:
    assert uploads.add_part(upload.id, FIRST, NOW)
    assert uploads.add_part(upload.id, SECOND, NOW + 3_599.9)
    assert not uploads.add_part(upload.id, UploadPart("part_3", 1), NOW + 3_600)
    assert set(look(uploads).parts) == {FIRST, SECOND}
    assert not uploads.add_part("upload_2", FIRST, NOW)


def test_an_upload_has_a_largest_number_of_parts(
    uploads: UploadStore, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("nightlane.aws.table.uploads", "infra.home.uploads"):
        monkeypatch.setattr(f"{module}.MAX_PARTS", 2)
    added = [uploads.add_part(upload.id, UploadPart(f"part_{n}", 1), NOW) for n in range(3)]
    assert added == [True, True, False]
    assert MAX_PARTS * len("part_" + "0" * 32 + ":67108864") < 300_000


def test_only_one_completion_is_accepted_and_then_no_parts(uploads: UploadStore, upload: Upload) -> None:
    uploads.add_part(upload.id, FIRST, NOW)
    assert uploads.begin_completion(upload.id, COMPLETION, NOW)
    assert not uploads.begin_completion(upload.id, OTHER, NOW)
    assert not uploads.add_part(upload.id, SECOND, NOW)
    assert look(uploads).completion == COMPLETION
    assert look(uploads).parts == (FIRST,)
    assert look(uploads).status_at(NOW + 4_000) is UploadStatus.PENDING


def test_an_expired_upload_cannot_be_completed(uploads: UploadStore, upload: Upload) -> None:
    assert not uploads.begin_completion(upload.id, COMPLETION, NOW + 3_600)
    assert look(uploads).status_at(NOW + 3_600) is UploadStatus.EXPIRED


def test_a_withdrawn_completion_makes_room_for_another(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin_completion(upload.id, COMPLETION, NOW)
    assert not uploads.withdraw_completion(upload.id, OTHER)
    assert uploads.withdraw_completion(upload.id, COMPLETION)
    assert uploads.add_part(upload.id, FIRST, NOW)
    assert uploads.begin_completion(upload.id, OTHER, NOW)
    assert not uploads.withdraw_completion(upload.id, COMPLETION)


def test_an_upload_is_finished_together_with_its_file(
    uploads: UploadStore, files: FileStore, upload: Upload
) -> None:
    uploads.add_part(upload.id, FIRST, NOW)
    assert not uploads.finish_upload(upload.id, COMPLETION, file(1))
    uploads.begin_completion(upload.id, COMPLETION, NOW)
    assert not uploads.finish_upload(upload.id, OTHER, file(2))
    assert uploads.finish_upload(upload.id, COMPLETION, file(1))
    assert not uploads.finish_upload(upload.id, COMPLETION, file(3))
    stored = look(uploads)
    assert (stored.status, stored.parts, stored.completion) == (UploadStatus.COMPLETED, (), COMPLETION)
    assert files.get_file("file-1") == file(1)
    assert files.get_file("file-2") is None
    assert files.get_file("file-3") is None
    assert not uploads.withdraw_completion(upload.id, COMPLETION)
    assert uploads.cancel_upload(upload.id) is None


def test_a_cancelled_upload_stays_cancelled(stores: Stores, upload: Upload) -> None:
    uploads = stores.uploads
    uploads.add_part(upload.id, FIRST, NOW)
    uploads.begin_completion(upload.id, COMPLETION, NOW)
    cancelled = uploads.cancel_upload(upload.id)
    assert cancelled == look(uploads)
    assert (cancelled.status, cancelled.parts) == (UploadStatus.CANCELLED, (FIRST,))
    assert uploads.cancel_upload(upload.id) == cancelled
    assert not uploads.finish_upload(upload.id, COMPLETION, file(1))
    assert not uploads.add_part(upload.id, SECOND, NOW)
    assert not uploads.begin_completion(upload.id, OTHER, NOW)
    assert stores.files.get_file("file-1") is None
    assert uploads.cancel_upload("upload_2") is None
