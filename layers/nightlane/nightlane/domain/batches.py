"""What clients do with batches: create, retrieve, list, cancel."""

from collections.abc import Callable
from hashlib import sha256

from nightlane.api_settings import NewBatchSettings, StepSettings
from nightlane.domain.batch import Batch, BatchRequest, BatchStatus
from nightlane.domain.errors import BadRequest, Conflict, NotFound
from nightlane.domain.ids import is_possible, shorten
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.quota_errors import too_many_batches
from nightlane.domain.quotas import Quota, QuotaReached
from nightlane.domain.s3_locations import check_input_url, check_output_prefix, is_s3_url
from nightlane.domain.steps import redrive_at
from nightlane.domain.stores import list_key
from nightlane.domain.window import window_seconds


def create_batch(
    ports: Ports[NewBatchSettings],
    tenant: str,
    request: BatchRequest,
    token: str | None,
    quota: Quota,
) -> Batch:
    """Create a batch, or return the one that was created with the same idempotency token.

    Raises:
        Conflict: the token was used with different parameters.
        BadRequest: the tenant may not use a location in S3.
        RateLimited: the tenant may create no more batches in this hour.
    """
    _check_locations(ports, tenant, request)
    now = ports.now()
    batch_id = f"batch_{derived_id(tenant, token) if token else ports.new_id()}"
    batch = Batch(
        id=batch_id,
        tenant=tenant,
        request=request,
        status=BatchStatus.VALIDATING,
        listed=list_key(now, batch_id),
        created_at=int(now),
        expires_at=int(now) + window_seconds(ports.settings, request.completion_window),
        quota=quota,
    )
    try:
        existing = ports.batches.create_batch(batch, wake_at=redrive_at(ports))
    except QuotaReached as error:
        raise too_many_batches(ports.quotas, tenant, quota, now) from error
    if existing is None:
        ports.metrics.add(Metric.BATCHES_CREATED)
        _send(ports, ports.queues.send_plan, batch_id)
        return batch
    return _same(existing, request, token)


def find_created(ports: Ports, tenant: str, token: str, request: BatchRequest) -> Batch | None:
    """Return the batch that was created with an idempotency token; None if there is none.

    Raises:
        Conflict: it was created with different parameters.
    """
    existing = ports.batches.get_batch(f"batch_{derived_id(tenant, token)}")
    return existing and _same(existing, request, token)


def _same(existing: Batch, request: BatchRequest, token: str | None) -> Batch:
    if existing.request.fingerprint() != request.fingerprint():
        raise Conflict(
            f"Idempotency conflict: the idempotency key '{token}' was previously used with different "
            "parameters. Either use a new idempotency key or ensure all parameters match the original "
            "request."
        )
    return existing


def _check_locations(ports: Ports[NewBatchSettings], tenant: str, request: BatchRequest) -> None:
    if ports.s3 is None and is_s3_url(request.input_file_id):
        message = "This server cannot read from S3: upload the input file with POST /v1/files."
        raise BadRequest(message, code="invalid_value", param="input_file_id")
    if ports.s3 is None and request.output_prefix is not None:
        message = "This server cannot write to S3: download the result files by their ids."
        raise BadRequest(message, code="invalid_value", param="output_prefix")
    check_input_url(ports.settings, tenant, request.input_file_id)
    check_output_prefix(ports.settings, tenant, request.output_prefix)


def _send(ports: Ports, send: Callable[[str], None], batch_id: str) -> None:
    """Send a message about a batch that was just stored."""
    try:
        send(batch_id)
    except Exception as error:
        # Not an error for the client, who would repeat what is already stored. The sweeper sends it later.
        ports.metrics.add(Metric.MESSAGES_NOT_SENT)
        ports.log("message not sent", batch_id=batch_id, error=repr(error))


def derived_id(tenant: str, token: str) -> str:
    """Return 32 hexadecimal digits that are the same for the same token of the same tenant."""
    return sha256(f"{tenant}\0{token}".encode()).hexdigest()[:32]


def get_batch(ports: Ports, tenant: str, batch_id: str) -> Batch:
    """Return a batch of the tenant. Raises: BadRequest; NotFound, also for another tenant's batch."""
    if not batch_id.startswith("batch"):
        message = f"Invalid 'batch_id': '{shorten(batch_id)}'. Expected an ID that begins with 'batch'."
        raise BadRequest(message, code="invalid_value", param="batch_id")
    batch = ports.batches.get_batch(batch_id) if is_possible(batch_id) else None
    if batch is None or batch.tenant != tenant:
        raise NotFound(f"No batch found with id '{shorten(batch_id)}'.")
    return batch


def list_batches(ports: Ports, tenant: str, *, after: str | None, limit: int) -> list[Batch]:
    """Return up to `limit` + 1 batches, newest first. Raises: NotFound, BadRequest."""
    position = get_batch(ports, tenant, after).listed if after else None
    return ports.batches.list_batches(tenant, position, limit + 1)


def cancel_batch(ports: Ports[StepSettings], tenant: str, batch_id: str) -> Batch:
    """Cancel a batch and return it. Raises: Conflict, if it ended in another status; NotFound, BadRequest."""
    batch = get_batch(ports, tenant, batch_id)
    cancelled = ports.batches.request_cancel(batch_id, int(ports.now()), redrive_at(ports))
    if cancelled is not None:
        # If no worker is running, only assembly can end the batch.
        _send(ports, ports.queues.send_assemble, batch_id)
        return cancelled
    batch = get_batch(ports, tenant, batch_id)
    if batch.status in (BatchStatus.CANCELLING, BatchStatus.CANCELLED):
        return batch
    raise Conflict(f"Cannot cancel a batch with status '{batch.status}'.")
