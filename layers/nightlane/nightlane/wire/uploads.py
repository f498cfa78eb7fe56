"""Requests and responses of uploads in parts.

Source: https://platform.openai.com/docs/api-reference/uploads
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from nightlane.domain.errors import BadRequest
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.ids import shorten
from nightlane.domain.upload import MAX_TOTAL_BYTES, Upload
from nightlane.domain.uploads import AddedPart
from nightlane.wire import objects
from nightlane.wire.multipart import HOW_TO_SEND_A_FILE, Form, FormFile
from nightlane.wire.requests import ExpiresAfter, Purpose, Request, lifetime_of
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
        return lifetime_of(self.expires_after)


class CompleteUpload(Request):
    """`part_ids` in the order of the bytes; `md5` of all bytes, hexadecimal."""

    part_ids: list[str]
    md5: str | None = None


def read_part(form: Form) -> FormFile:
    """Return the file of `POST /v1/uploads/{upload_id}/parts`. Raises: BadRequest."""
    for name in (*form.fields, *form.files):
        if name != "data":
            message = f"Unknown parameter: '{shorten(name)}'. This form may have only the field 'data'."
            raise BadRequest(message, code="unknown_parameter", param=shorten(name))
    if "data" in form.fields:
        message = f"Invalid type for 'data': expected a file, but got a text field. {HOW_TO_SEND_A_FILE}"
        raise BadRequest(message, code="invalid_type", param="data")
    if "data" not in form.files:
        message = "Missing required parameter: 'data'."
        raise BadRequest(message, code="missing_required_parameter", param="data")
    return form.files["data"]


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
