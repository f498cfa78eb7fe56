"""Requests and responses of uploads in parts.

Source: https://platform.openai.com/docs/api-reference/uploads
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.upload import MAX_TOTAL_BYTES, Upload
from nightlane.domain.uploads import AddedPart
from nightlane.wire import objects
from nightlane.wire.requests import ExpiresAfter, Purpose, Request
from nightlane.wire.responses import file_object


class CreateUpload(Request):
    """`mime_type` is required, but nothing depends on it: files have none."""

    bytes: Annotated[int, Field(ge=1, le=MAX_TOTAL_BYTES)]
    filename: Annotated[str, StringConstraints(min_length=1, max_length=1_024)]
    mime_type: str
    purpose: Purpose
    expires_after: ExpiresAfter | None = None

    @property
    def file_purpose(self) -> FilePurpose:
        return FilePurpose(self.purpose)

    @property
    def lifetime(self) -> int | None:
        """Of the file, in seconds."""
        return self.expires_after.seconds if self.expires_after else None


class CompleteUpload(Request):
    """`part_ids` in the order of the bytes; `md5` of all bytes, hexadecimal."""

    part_ids: list[str]
    md5: str | None = None


def upload_object(upload: Upload, file: StoredFile | None = None) -> objects.Upload:
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": file_object(file) if file else None,
    }


def part_object(part: AddedPart) -> objects.UploadPart:
    return {
        "id": part.id,
        "object": "upload.part",
        "created_at": part.created_at,
        "upload_id": part.upload_id,
    }
