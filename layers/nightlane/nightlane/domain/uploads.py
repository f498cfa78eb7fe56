"""What clients do with uploads in parts: create, add parts, complete, cancel.

Source: https://platform.openai.com/docs/api-reference/uploads
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from msgspec.structs import replace

from nightlane.api_settings import UploadSettings
from nightlane.domain.compositions import Source
from nightlane.domain.errors import BadRequest, NotFound, TooLarge, Unavailable
from nightlane.domain.file import FilePurpose, StoredFile, file_blob_key
from nightlane.domain.files import check_batch_input, check_batch_size, new_file, new_file_id
from nightlane.domain.ids import is_possible, shorten
from nightlane.domain.ports import BlobMissing, Ports
from nightlane.domain.quota_errors import too_many_bytes
from nightlane.domain.quotas import Quota, QuotaReached
from nightlane.domain.received import Received
from nightlane.domain.upload import (
    MAX_PART_BYTES,
    MAX_PARTS,
    UPLOAD_SECONDS,
    Completion,
    Upload,
    UploadPart,
    UploadStatus,
    fingerprint_of,
)


@dataclass(frozen=True, slots=True)
class AddedPart:
    """A part that was stored, at a time in seconds since 1970."""

    id: str
    upload_id: str
    created_at: int


@dataclass(frozen=True, slots=True)
class CompletedUpload:
    """An upload and the file that it became."""

    upload: Upload
    file: StoredFile


def create_upload(
    ports: Ports[UploadSettings],
    tenant: str,
    *,
    filename: str,
    purpose: FilePurpose,
    size: int,
    lifetime: int | None,
) -> Upload:
    """Begin an upload of `size` bytes in total; `lifetime` is the file's, in seconds. Raises: BadRequest."""
    if purpose is FilePurpose.BATCH:
        check_batch_size(size, ports.settings)
    now = int(ports.now())
    upload = Upload(
        id=f"upload_{ports.new_id()}",
        tenant=tenant,
        filename=filename,
        purpose=purpose,
        size=size,
        lifetime=lifetime,
        created_at=now,
        expires_at=now + UPLOAD_SECONDS,
    )
    ports.uploads.create_upload(upload)
    return upload


def add_part(ports: Ports[UploadSettings], tenant: str, upload_id: str, content: Received) -> AddedPart:
    """Store a part. Raises: NotFound; BadRequest, if the upload is not pending; TooLarge."""
    upload = _find(ports, tenant, upload_id)
    if not upload.accepts_parts(ports.now()):
        raise _refused(ports, upload)
    if content.size > (limit := min(MAX_PART_BYTES, ports.settings.max_upload_bytes)):
        raise TooLarge(f"The part is larger than {limit} bytes.", param="data")
    part = UploadPart(f"part_{ports.new_id()}", content.size)
    # The object first, so that every part with a record can be read.
    ports.blobs.put_received(upload.part_key(part.id), content)
    now = ports.now()
    if not ports.uploads.add_part(upload_id, part, now):
        ports.blobs.delete([upload.part_key(part.id)])
        upload = _find(ports, tenant, upload_id)
        if upload.accepts_parts(now):
            raise BadRequest(f"An upload may have {MAX_PARTS} parts; use larger ones.", param="data")
        raise _refused(ports, upload)
    return AddedPart(part.id, upload_id, int(now))


def complete_upload(
    ports: Ports[UploadSettings],
    tenant: str,
    upload_id: str,
    part_ids: Sequence[str],
    md5: str | None,
    quota: Quota,
) -> CompletedUpload:
    """Compose a file from the parts, in this order. A repeated call continues, or returns the same file.

    Raises:
        NotFound
        BadRequest: sizes, `md5` or the content are wrong, or the upload is not pending.
        Unavailable: composing takes longer; repeat the call.
        Forbidden: the tenant may not store that much.
    """
    upload, fingerprint = _find(ports, tenant, upload_id), fingerprint_of(part_ids, md5)
    if upload.accepts_parts(ports.now()):
        upload = _accept(ports, upload, part_ids, md5)
    if upload.is_completing(fingerprint):
        _compose(ports, upload, part_ids, md5, quota)
        upload = _find(ports, tenant, upload_id)
    return CompletedUpload(upload, _file_of(ports, upload, fingerprint))


def cancel_upload(ports: Ports, tenant: str, upload_id: str) -> Upload:
    """Cancel an upload and delete its parts; no-op if it is cancelled. Raises: NotFound; BadRequest."""
    upload = _find(ports, tenant, upload_id)
    if upload.status_at(ports.now()) is UploadStatus.EXPIRED:
        raise _refused(ports, upload)
    cancelled = ports.uploads.cancel_upload(upload_id)
    if cancelled is None:
        raise _refused(ports, _find(ports, tenant, upload_id))
    if cancelled.completion is not None:
        _discard(ports, cancelled, cancelled.completion)
    ports.blobs.delete(cancelled.part_keys())
    return cancelled


def _accept(ports: Ports[UploadSettings], upload: Upload, part_ids: Sequence[str], md5: str | None) -> Upload:
    """Accept a completion, unless another was; return the upload as it is then stored."""
    parts = upload.in_order(part_ids)
    limit = ports.compositions.max_checked_bytes
    if md5 is not None and limit is not None and upload.size > limit:
        raise BadRequest(f"The checksum of more than {limit} bytes cannot be verified.", param="md5")
    if upload.purpose is FilePurpose.BATCH:
        check_batch_input(upload.size, lambda: _content(ports, upload, parts), ports.settings)
    file_id = new_file_id(ports)
    composition = ports.compositions.begin(file_blob_key(upload.tenant, file_id))
    completion = Completion(file_id, fingerprint_of(part_ids, md5), composition)
    if not ports.uploads.begin_completion(upload.id, completion, ports.now()):
        _discard(ports, upload, completion)
    return _find(ports, upload.tenant, upload.id)


def _content(ports: Ports, upload: Upload, parts: Sequence[UploadPart]) -> Iterator[bytes]:
    return chain.from_iterable(ports.blobs.stream(upload.part_key(part.id)) for part in parts)


def _compose(
    ports: Ports[UploadSettings], upload: Upload, part_ids: Sequence[str], md5: str | None, quota: Quota
) -> None:
    completion = upload.completion
    assert completion is not None
    sources = [Source(upload.part_key(part.id), part.size) for part in upload.in_order(part_ids)]
    try:
        composed = ports.compositions.compose(
            completion.composition, upload.file_key(completion), sources, md5=md5 is not None
        )
    except BlobMissing:
        # Another call has finished or cancelled it; if not, it was discarded, and the next call begins again.
        ports.uploads.withdraw_completion(upload.id, completion)
        return
    if composed is None:
        raise _unfinished(upload)
    if md5 is not None and composed.md5 != md5.lower():
        # In this order, so that nothing is left without a record of it.
        _discard(ports, upload, completion)
        ports.uploads.withdraw_completion(upload.id, completion)
        raise BadRequest(
            f"The content has the MD5 checksum {composed.md5}, not '{shorten(md5)}'.", param="md5"
        )
    try:
        _finish(ports, upload, completion, quota)
    except QuotaReached as error:
        _discard(ports, upload, completion)
        ports.uploads.withdraw_completion(upload.id, completion)
        raise too_many_bytes(quota) from error


def _finish(ports: Ports[UploadSettings], upload: Upload, completion: Completion, quota: Quota) -> None:
    """Store the file's record, and end the upload. Raises: QuotaReached."""
    file = new_file(
        ports,
        upload.tenant,
        upload.filename,
        upload.purpose,
        upload.size,
        upload.lifetime,
        file_id=completion.file_id,
    )
    file = replace(file, is_counted=quota.stored_bytes is not None)
    if ports.uploads.finish_upload(upload.id, completion, file, quota.stored_bytes):
        ports.blobs.delete(upload.part_keys())
        return
    stored = ports.uploads.get_upload(upload.id)
    if stored is None or stored.completion != completion or stored.status is UploadStatus.CANCELLED:
        _discard(ports, upload, completion)


def _file_of(ports: Ports, upload: Upload, fingerprint: str) -> StoredFile:
    """Return the file that an upload became. Raises: BadRequest, NotFound, Unavailable."""
    status, completion = upload.status_at(ports.now()), upload.completion
    if status in (UploadStatus.CANCELLED, UploadStatus.EXPIRED):
        raise _refused(ports, upload)
    if completion is not None and completion.fingerprint != fingerprint:
        raise _refused(ports, upload)
    if completion is None or status is UploadStatus.PENDING:
        # Another call has just withdrawn the completion.
        raise _unfinished(upload)
    file = ports.files.get_file(completion.file_id, deleted=True)
    if file is None:
        raise NotFound(f"No such File object: {completion.file_id}", param="id")
    return file


def _discard(ports: Ports, upload: Upload, completion: Completion) -> None:
    ports.compositions.discard(completion.composition, upload.file_key(completion))


def _find(ports: Ports, tenant: str, upload_id: str) -> Upload:
    """Return an upload of the tenant. Raises: NotFound, also for another tenant's."""
    upload = ports.uploads.get_upload(upload_id) if is_possible(upload_id) else None
    if upload is None or upload.tenant != tenant or upload.is_forgotten(ports.now()):
        raise NotFound(f"No such Upload object: {shorten(upload_id)}", param="id")
    return upload


def _refused(ports: Ports, upload: Upload) -> BadRequest:
    """Return the error for a request that the upload's state does not allow."""
    status = upload.status_at(ports.now())
    if status is UploadStatus.PENDING and upload.completion is not None:
        return BadRequest(f"The upload '{upload.id}' is already being completed.")
    return BadRequest(f"The upload '{upload.id}' is {status}.")


def _unfinished(upload: Upload) -> Unavailable:
    return Unavailable(
        f"The parts of '{upload.id}' are still being put together. Repeat the request; it will continue."
    )
