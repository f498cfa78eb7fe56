"""Batches created from requests in the body instead of a file, which is made from them. An extension."""

from dataclasses import replace
from hashlib import sha256

from nightlane.domain.batch import Batch, BatchRequest
from nightlane.domain.batches import create_batch, derived_id, find_created
from nightlane.domain.errors import Conflict
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.ports import Ports
from nightlane.domain.quota_errors import too_many_bytes
from nightlane.domain.quotas import Quota, QuotaReached
from nightlane.domain.stores import list_key
from nightlane.settings import InlineSettings


def create_inline(
    ports: Ports[InlineSettings],
    tenant: str,
    request: BatchRequest,
    lines: bytes,
    token: str | None,
    quota: Quota,
) -> Batch:
    """Store the lines as an input file, and create a batch of it, with that file's id in its request.

    With a token, the same lines get the same file. A crash leaves at most a file without a batch, which
    expires.

    Raises:
        Conflict: the token was used with different parameters or lines.
        RateLimited, Forbidden: the tenant's quota does not allow the batch or the file.
    """
    file = replace(_file(ports, tenant, lines, token), is_counted=quota.stored_bytes is not None)
    request = replace(request, input_file_id=file.id)
    if token and (existing := find_created(ports, tenant, token, request)):
        return existing
    ports.blobs.put(file.blob_key, lines)
    try:
        ports.files.add_file(file, quota.stored_bytes)
    except QuotaReached as error:
        ports.blobs.delete([file.blob_key])
        raise too_many_bytes(quota) from error
    try:
        return create_batch(ports, tenant, request, token, quota)
    except Conflict:
        # Another request with this token and other lines was faster.
        ports.files.delete_file(file, int(ports.now()))
        ports.blobs.delete([file.blob_key])
        ports.files.forget_file(file.id)
        raise


def _file(ports: Ports[InlineSettings], tenant: str, lines: bytes, token: str | None) -> StoredFile:
    now = ports.now()
    digits = derived_id(tenant, f"{token}\0{sha256(lines).hexdigest()}") if token else ports.new_id()
    file_id = f"file-{digits[:24]}"
    return StoredFile(
        id=file_id,
        tenant=tenant,
        filename="requests.jsonl",
        purpose=FilePurpose.BATCH,
        size=len(lines),
        created_at=int(now),
        expires_at=int(now) + ports.settings.batch_file_retention_seconds,
        listed=list_key(now, file_id),
    )
