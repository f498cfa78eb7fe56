"""Batches created from requests in the body instead of a file, which is made from them. An extension."""

from hashlib import sha256

from msgspec.structs import replace

from nightlane.api_settings import InlineSettings
from nightlane.domain.batch import Batch, BatchRequest
from nightlane.domain.batches import create_batch, derived_id, find_created
from nightlane.domain.errors import Conflict
from nightlane.domain.file import FilePurpose
from nightlane.domain.files import new_file, record_file
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import Quota


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
    file_id = _file_id(tenant, lines, token) if token else None
    file = new_file(
        ports, tenant, "requests.jsonl", FilePurpose.BATCH, len(lines), lifetime=None, file_id=file_id
    )
    request = replace(request, input_file_id=file.id)
    if token and (existing := find_created(ports, tenant, token, request)):
        return existing
    ports.blobs.put(file.blob_key, lines)
    file = record_file(ports, file, quota, ports.files.add_file)
    try:
        return create_batch(ports, tenant, request, token, quota)
    except Conflict:
        # Another request with this token and other lines was faster.
        ports.files.delete_file(file, int(ports.now()))
        ports.blobs.delete([file.blob_key])
        ports.files.forget_file(file.id)
        raise


def _file_id(tenant: str, lines: bytes, token: str) -> str:
    """Return an id that is the same for the same lines with the same token."""
    digits = derived_id(tenant, f"{token}\0{sha256(lines).hexdigest()}")
    return f"file-{digits[:24]}"
