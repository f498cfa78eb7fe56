"""What clients do with files: upload, retrieve, list, download, delete."""

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from nightlane.api_settings import ContentSettings, RetentionSettings, UploadSettings
from nightlane.domain.errors import BadRequest, NotFound, TooLarge
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.ids import is_possible, shorten
from nightlane.domain.large_files import LARGE_FILE_WAYS
from nightlane.domain.lines import BYTE_ORDER_MARK, is_blank, is_json, split_lines
from nightlane.domain.ports import BlobMissing, Ports
from nightlane.domain.quota_errors import too_many_bytes
from nightlane.domain.quotas import Quota, QuotaReached
from nightlane.domain.received import Received
from nightlane.domain.stores import list_key
from nightlane.domain.utf8 import CHECKED_BYTES, check_utf8, explain_surrogate

PRESIGNED_SECONDS = 900
# Lambda's limit of 6 MB, minus the rest of the response.
MAX_RESPONSE_BYTES = 6_000_000
# OpenAI refuses to return the content of files with any other purpose.
DOWNLOADABLE = frozenset({FilePurpose.BATCH, FilePurpose.BATCH_OUTPUT, FilePurpose.FINE_TUNE})


class Content(msgspec.Struct, frozen=True):
    """A file's text, or a URL to download it from if it is too long for a response or not text."""

    file: StoredFile
    text: str | None
    url: str | None


def create_file(
    ports: Ports[UploadSettings],
    tenant: str,
    filename: str,
    content: Received,
    purpose: FilePurpose,
    lifetime: int | None,
    quota: Quota,
) -> StoredFile:
    """Store an upload; `lifetime` in seconds. Raises: BadRequest, TooLarge, Forbidden."""
    settings = ports.settings
    if content.size > settings.max_upload_bytes:
        raise TooLarge(
            f"The file is larger than the {settings.max_upload_bytes} bytes of one upload. {LARGE_FILE_WAYS}"
        )
    if purpose is FilePurpose.BATCH:
        check_batch_input(content.size, content.chunks, settings)
    file = new_file(ports, tenant, filename, purpose, content.size, lifetime)
    ports.blobs.put_received(file.blob_key, content)
    return record_file(ports, file, quota)


def record_file(
    ports: Ports,
    file: StoredFile,
    quota: Quota,
    store: Callable[[StoredFile, int | None], object] | None = None,
) -> StoredFile:
    """Store the record of a new file, by default with `put_file`, and return it.

    Raises:
        Forbidden: the tenant may not store that much. An object that was stored has been deleted.
    """
    file = replace(file, is_counted=quota.stored_bytes is not None)
    try:
        (store or ports.files.put_file)(file, quota.stored_bytes)
    except QuotaReached as error:
        ports.blobs.delete([file.blob_key])
        raise too_many_bytes(quota) from error
    return file


def new_file_id(ports: Ports) -> str:
    return f"file-{ports.new_id()[:24]}"


def new_file(
    ports: Ports[RetentionSettings],
    tenant: str,
    filename: str,
    purpose: FilePurpose,
    size: int,
    lifetime: int | None,
    *,
    file_id: str | None = None,
    pending_seconds: int | None = None,
) -> StoredFile:
    """Return the record of a new file. With `pending_seconds`, its content is awaited for so long."""
    now, file_id = ports.now(), file_id or new_file_id(ports)
    if purpose is FilePurpose.BATCH:
        lifetime = lifetime or ports.settings.batch_file_retention_seconds
    return StoredFile(
        id=file_id,
        tenant=tenant,
        filename=filename or "upload",
        purpose=purpose,
        size=size,
        created_at=int(now),
        expires_at=int(now) + lifetime if lifetime else None,
        listed=list_key(now, file_id),
        is_direct=pending_seconds is not None,
        pending_until=int(now) + pending_seconds if pending_seconds else None,
    )


def check_batch_size(size: int, limits: UploadSettings) -> None:
    """Raises: BadRequest, if a batch input file may not have that many bytes."""
    if size > limits.max_batch_bytes:
        raise BadRequest(f"File is too large: a batch input file may have {limits.max_batch_bytes} bytes.")


def check_batch_input(size: int, read: Callable[[], Iterator[bytes]], limits: UploadSettings) -> None:
    """Refuse what OpenAI refuses on upload: too many bytes, a first line that is not JSON, not UTF-8.

    `read` yields the content from its beginning, of which only the first line and some KiB are read.

    Raises:
        BadRequest
    """
    check_batch_size(size, limits)
    check_utf8(_beginning(read()), is_whole=size <= CHECKED_BYTES)
    for start, line in split_lines(read(), limits.max_line_bytes):
        if line is None:
            # Planning reports every line that is too long.
            return
        text = line if start else line.removeprefix(BYTE_ORDER_MARK)
        if not is_blank(text):
            if not is_json(text):
                reason = explain_surrogate(text) or ""
                raise BadRequest(f"Invalid file format for Batch API. Must be .jsonl. {reason}".rstrip(" ."))
            return


def _beginning(chunks: Iterator[bytes]) -> bytes:
    """Return the first bytes of an upload, at least as many as are checked if there are so many."""
    beginning = b""
    for chunk in chunks:
        beginning += chunk
        if len(beginning) >= CHECKED_BYTES:
            break
    return beginning


def find_file(ports: Ports, tenant: str, file_id: str) -> StoredFile | None:
    """Return a file of the tenant; None if it is unknown, deleted or expired."""
    file = ports.files.get_file(file_id) if is_possible(file_id) else None
    return None if file is None or file.tenant != tenant or file.is_expired(ports.now()) else file


def get_file(ports: Ports, tenant: str, file_id: str) -> StoredFile:
    """Return a file of the tenant. Raises: NotFound, also for another tenant's, a deleted or expired file."""
    file = find_file(ports, tenant, file_id)
    if file is None:
        raise _no_such_file(file_id)
    return file


def list_files(
    ports: Ports, tenant: str, *, after: str | None, limit: int, purpose: str | None, newest_first: bool
) -> list[StoredFile]:
    """Return up to `limit` + 1 files. Raises: NotFound, for an unknown cursor."""
    position = None
    if after is not None:
        position = ports.files.list_position(after, tenant) if is_possible(after) else None
        if position is None:
            raise NotFound("Resource not found.", param="after")
    purposes = [each for each in FilePurpose if purpose in (None, each.value)]
    return ports.files.list_files(
        tenant, purposes, position, limit + 1, ports.now(), newest_first=newest_first
    )


def delete_file(ports: Ports, tenant: str, file_id: str) -> None:
    """Delete a file and its object. Raises: NotFound, also if it was already deleted."""
    file = get_file(ports, tenant, file_id)
    while not ports.files.delete_file(file, int(ports.now())):
        # A pending file may just have been completed; one that was deleted raises.
        file = get_file(ports, tenant, file_id)
    ports.blobs.delete([file.blob_key])
    ports.files.forget_file(file_id)


def read_content(ports: Ports[ContentSettings], tenant: str, file_id: str) -> Content:
    """Return the content of a file. Raises: NotFound; BadRequest, if its purpose forbids it."""
    file = get_file(ports, tenant, file_id)
    if file.purpose not in DOWNLOADABLE:
        raise BadRequest(f"Not allowed to download files of purpose: {file.purpose}")
    if file.is_pending:
        raise BadRequest(f"The file {file_id} has no content yet: it is pending.", param="id")
    if file.size <= ports.settings.max_inline_content_bytes and (text := _inline(ports, file)) is not None:
        return Content(file, text, None)
    return Content(file, None, ports.blobs.presigned_get(file.blob_key, file.filename, PRESIGNED_SECONDS))


def _inline(ports: Ports, file: StoredFile) -> str | None:
    """Return the text of a file, or None if a Lambda function cannot return it.

    Bytes would have to be base64, which API Gateway decodes only for clients that send a matching Accept
    header; and Lambda's limit for a response, as JSON, is 6 MB.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    try:
        text = ports.blobs.get(file.blob_key).decode()
    except BlobMissing as error:
        raise _no_such_file(file.id) from error
    except UnicodeDecodeError:
        return None
    return text if len(msgspec.json.encode(text)) <= MAX_RESPONSE_BYTES else None


def _no_such_file(file_id: str) -> NotFound:
    return NotFound(f"No such File object: {shorten(file_id)}", param="id")
