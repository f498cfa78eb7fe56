"""Uploads in parts, on SQLite and a folder."""

from collections.abc import Callable, Sequence
from hashlib import md5 as new_md5

import msgspec
from msgspec.structs import replace

from nightlane.domain import quota_counts
from nightlane.domain.compositions import Composed, Source
from nightlane.domain.file import StoredFile
from nightlane.domain.upload import MAX_PARTS, Completion, Upload, UploadPart, UploadStatus

from .blobs import FolderBlobs
from .database import Database
from .quotas import count
from .rows import insert_file, to_json

_decode = msgspec.json.Decoder(Upload).decode


class SqliteUploads:
    """`domain.upload_store.UploadStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_upload(self, upload: Upload) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO uploads VALUES (?, ?, ?)", (upload.id, upload.expires_at, to_json(upload))
            )

    def get_upload(self, upload_id: str) -> Upload | None:
        row = self._database.read().execute("SELECT data FROM uploads WHERE id = ?", (upload_id,)).fetchone()
        return _decode(row[0]) if row else None

    def add_part(self, upload_id: str, part: UploadPart, now: float) -> bool:
        def has_room(stored: Upload) -> bool:
            return stored.accepts_parts(now) and len(stored.parts) < MAX_PARTS

        def add(stored: Upload) -> Upload:
            return replace(stored, parts=(*stored.parts, part))

        return self._update(upload_id, has_room, add) is not None

    def begin_completion(self, upload_id: str, completion: Completion, now: float) -> bool:
        def begin(stored: Upload) -> Upload:
            return replace(stored, completion=completion)

        return self._update(upload_id, lambda stored: stored.accepts_parts(now), begin) is not None

    def withdraw_completion(self, upload_id: str, completion: Completion) -> bool:
        def withdraw(stored: Upload) -> Upload:
            return replace(stored, completion=None)

        return self._update(upload_id, lambda stored: _accepted(stored, completion), withdraw) is not None

    def finish_upload(
        self,
        upload_id: str,
        completion: Completion,
        file: StoredFile,
        max_stored_bytes: int | None = None,
    ) -> bool:
        def finish(stored: Upload) -> Upload:
            return replace(stored, status=UploadStatus.COMPLETED, parts=())

        def is_accepted(stored: Upload) -> bool:
            return _accepted(stored, completion)

        return self._update(upload_id, is_accepted, finish, file, max_stored_bytes) is not None

    def cancel_upload(self, upload_id: str) -> Upload | None:
        def cancel(stored: Upload) -> Upload:
            return replace(stored, status=UploadStatus.CANCELLED)

        return self._update(upload_id, lambda stored: stored.status is not UploadStatus.COMPLETED, cancel)

    def _update(
        self,
        upload_id: str,
        condition: Callable[[Upload], bool],
        change: Callable[[Upload], Upload],
        file: StoredFile | None = None,
        max_stored_bytes: int | None = None,
    ) -> Upload | None:
        """Update an upload if a condition holds, and add a file. Returns the new upload, or None."""
        with self._database.write() as connection:
            row = connection.execute("SELECT data FROM uploads WHERE id = ?", (upload_id,)).fetchone()
            if row is None or not condition(stored := _decode(row[0])):
                return None
            changed = change(stored)
            connection.execute("UPDATE uploads SET data = ? WHERE id = ?", (to_json(changed), upload_id))
            if file is not None:
                insert_file(connection, file)
                count(connection, file.tenant, quota_counts.stored(file, max_stored_bytes))
        return changed


def _accepted(upload: Upload, completion: Completion) -> bool:
    return upload.status is UploadStatus.PENDING and upload.completion == completion


class FolderCompositions:
    """`domain.compositions.Compositions` in a folder. A call takes as long as it needs."""

    max_checked_bytes = None

    def __init__(self, blobs: FolderBlobs) -> None:
        self._blobs = blobs

    def begin(self, target: str) -> str:  # noqa: ARG002 (the port's)
        return ""

    def compose(
        self,
        composition: str,  # noqa: ARG002 (the port's)
        target: str,
        sources: Sequence[Source],
        *,
        md5: bool,
    ) -> Composed | None:
        digest = new_md5(usedforsecurity=False) if md5 else None
        with self._blobs.writer(target) as writer:
            for source in sources:
                for chunk in self._blobs.stream(source.key):
                    writer.write(chunk)
                    if digest is not None:
                        digest.update(chunk)
        return Composed(digest.hexdigest() if digest else None)

    def discard(self, composition: str, target: str) -> None:  # noqa: ARG002 (the port's)
        self._blobs.delete([target])
