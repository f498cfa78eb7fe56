"""Direct uploads: a file record, a URL to PUT its content to, and the check once it has arrived.

An extension: OpenAI has only forms and uploads in parts.
"""

import msgspec

from nightlane.api_settings import UploadSettings
from nightlane.domain.errors import BadRequest, NotFound
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.files import check_batch_input, check_batch_size, get_file, new_file, record_file
from nightlane.domain.ports import BlobMissing, Ports, PresignedPut
from nightlane.domain.quotas import Quota

PENDING_SECONDS = 3_600
NOT_UPLOADED = "file_not_uploaded"


class PendingUpload(msgspec.Struct, frozen=True):
    """A file whose content is awaited, and where to send that."""

    file: StoredFile
    put: PresignedPut


def begin_direct_upload(
    ports: Ports[UploadSettings],
    tenant: str,
    filename: str,
    purpose: FilePurpose,
    size: int,
    lifetime: int | None,
    quota: Quota,
) -> PendingUpload:
    """Record a pending file; `size` in bytes, `lifetime` in seconds. Raises: BadRequest, Forbidden."""
    if purpose is FilePurpose.BATCH:
        check_batch_size(size, ports.settings)
    file = new_file(ports, tenant, filename, purpose, size, lifetime, pending_seconds=PENDING_SECONDS)
    # The record comes first: an object without one is deleted when it arrives.
    file = record_file(ports, file, quota)
    return PendingUpload(file, ports.blobs.presigned_put(file.blob_key, size, PENDING_SECONDS))


def complete_direct_upload(ports: Ports[UploadSettings], tenant: str, file_id: str) -> StoredFile:
    """Complete a pending file whose content has arrived. May be repeated, and called many times at once.

    Raises:
        NotFound: also if it was deleted, or its content did not arrive in time.
        BadRequest: the content has not arrived, or is invalid.
    """
    file = get_file(ports, tenant, file_id)
    if not file.is_pending:
        return file
    try:
        _check(ports, file)
    except BadRequest as error:
        if error.code != NOT_UPLOADED:
            ports.files.refuse_file(file_id, error.message)
        raise
    ports.files.complete_file(file)
    # Another call may have completed it, or it was deleted meanwhile.
    return get_file(ports, tenant, file_id)


def receive_object(ports: Ports[UploadSettings], key: str) -> None:
    """Complete the file whose object has just been stored, or delete an object that is not awaited."""
    file = ports.files.get_file(key.rsplit("/", 1)[1])
    if file is None:
        # The record is written before the URL is issued, so the file was deleted or has expired.
        ports.blobs.delete([key])
        return
    try:
        complete_direct_upload(ports, file.tenant, file.id)
    except (BadRequest, NotFound) as error:
        # The file's status has the reason; one that has just expired is left to the sweeper.
        ports.log("a direct upload was not completed", file_id=file.id, reason=error.message)


def not_uploaded(file: StoredFile) -> str:
    """Return why a pending file cannot be used."""
    if file.problem is not None:
        return f"The content of the file {file.id} was refused: {file.problem}"
    return f"The file {file.id} has not been uploaded yet: send its content with a PUT to its upload URL."


def _check(ports: Ports[UploadSettings], file: StoredFile) -> None:
    """Check the content as that of a form is checked. Raises: BadRequest."""
    try:
        size = ports.blobs.size(file.blob_key)
        if size != file.size:
            raise BadRequest(f"The file has {size} bytes, and {file.size} were announced.", param="bytes")
        if file.purpose is FilePurpose.BATCH:
            # As much as a first line may have, and its line feed.
            beginning = min(size, ports.settings.max_line_bytes + 2)
            check_batch_input(size, lambda: ports.blobs.stream(file.blob_key, 0, beginning), ports.settings)
    except BlobMissing as error:
        raise BadRequest(not_uploaded(file), code=NOT_UPLOADED, param="id") from error
