"""The store of uploads, implemented on DynamoDB and on SQLite. Each method is one atomic write."""

from typing import Protocol

from nightlane.domain.file import StoredFile
from nightlane.domain.upload import Completion, Upload, UploadPart


class UploadStore(Protocol):
    """Uploads in parts. `now` is in seconds since 1970."""

    def create_upload(self, upload: Upload) -> None:
        """Store a new upload."""

    def get_upload(self, upload_id: str) -> Upload | None:
        """Return an upload, read consistently."""

    def add_part(self, upload_id: str, part: UploadPart, now: float) -> bool:
        """Add a part; False if the upload does not accept parts, or has `MAX_PARTS`."""

    def begin_completion(self, upload_id: str, completion: Completion, now: float) -> bool:
        """Accept a completion; False if another was accepted, or the upload is not pending."""

    def withdraw_completion(self, upload_id: str, completion: Completion) -> bool:
        """Undo `begin_completion`; False if this completion is not the accepted one, or was finished."""

    def finish_upload(
        self,
        upload_id: str,
        completion: Completion,
        file: StoredFile,
        max_stored_bytes: int | None = None,
    ) -> bool:
        """pending → completed, without parts, and store the record of the file, atomically.

        False if the upload is not pending or this completion is not the accepted one.

        Raises:
            QuotaReached: as `FileStore.put_file`.
        """

    def cancel_upload(self, upload_id: str) -> Upload | None:
        """pending → cancelled; return the cancelled upload, or None if it is completed."""
