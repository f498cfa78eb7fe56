"""Retries: a new batch of an earlier one's lines that failed, were cancelled or expired. An extension."""

from msgspec.structs import replace

from nightlane.api_settings import NewBatchSettings
from nightlane.domain.batch import Batch, BatchRequest, BatchStatus
from nightlane.domain.batches import create_batch, find_created, get_batch
from nightlane.domain.errors import BadRequest, Conflict
from nightlane.domain.files import find_file
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import Quota
from nightlane.domain.s3_locations import is_s3_url

RETRY_OF = "retry_of"
# https://platform.openai.com/docs/api-reference/batch/create
MAX_METADATA_PAIRS = 16


def retry_batch(
    ports: Ports[NewBatchSettings], tenant: str, batch_id: str, token: str | None, quota: Quota
) -> Batch:
    """Create a batch of the lines in a batch's error file; `retry_input` writes its input.

    A repeat with the same idempotency token returns the same batch.

    Raises:
        Conflict: the batch has not ended, or the token was used with different parameters.
        RateLimited: the tenant may create no more batches in this hour.
        BadRequest: it has no line to retry, or a file that is needed for it is gone.
        NotFound
    """
    earlier = get_batch(ports, tenant, batch_id)
    if not earlier.status.is_terminal:
        raise Conflict(f"Cannot retry a batch with status '{earlier.shown_status}'.")
    request = _again(earlier)
    if token and (existing := find_created(ports, tenant, token, request)):
        # Before the files are checked: they may have gone since.
        return existing
    if earlier.error_file_id is None:
        reason = "Its input file is invalid." if earlier.status is BatchStatus.FAILED else "All completed."
        raise BadRequest(f"The batch '{batch_id}' has no lines to retry. {reason}", code="nothing_to_retry")
    if is_s3_url(request.input_file_id):
        raise BadRequest(f"The batch '{batch_id}' read its input from S3, which may have changed since.")
    for kind, file_id in (("input", request.input_file_id), ("error", earlier.error_file_id)):
        if find_file(ports, tenant, file_id) is None:
            raise BadRequest(gone_message(earlier.id, kind), code="file_gone")
    return create_batch(ports, tenant, request, token, quota)


def _again(earlier: Batch) -> BatchRequest:
    metadata = {**(earlier.request.metadata or {}), RETRY_OF: earlier.id}
    if len(metadata) > MAX_METADATA_PAIRS:
        return replace(earlier.request, retry_of=earlier.id)
    return replace(earlier.request, metadata=metadata, retry_of=earlier.id)


def gone_message(earlier_id: str, kind: str) -> str:
    """Return why a batch cannot be retried without its input or error file."""
    return f"The batch '{earlier_id}' cannot be retried: its {kind} file was deleted or has expired."
