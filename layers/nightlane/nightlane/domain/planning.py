"""plan: reads the input, validates every line, orders the lines and divides the batch into shards."""

import msgspec

from nightlane.domain.admission import admit_waiting
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.cutting import cut_shards, lanes_to
from nightlane.domain.dispatch import dispatch
from nightlane.domain.file import FilePurpose
from nightlane.domain.files import find_file
from nightlane.domain.line_checks import ErrorList, Invalid, LineChecker, ModelChecker
from nightlane.domain.metrics import Metric
from nightlane.domain.order import encode_order
from nightlane.domain.ordering import arrange, write_ordered
from nightlane.domain.pending_files import not_uploaded
from nightlane.domain.ports import BlobMissing, Ports, UpstreamModels
from nightlane.domain.quota_errors import too_few_in_flight, too_much_enqueued
from nightlane.domain.quotas import BatchSize, Quota, QuotaReached, in_flight_per_upstream
from nightlane.domain.reading import ReadInput, check_size, read_input
from nightlane.domain.retry_input import write_failed_lines
from nightlane.domain.s3_locations import LocationUnavailable, find_input, is_s3_url
from nightlane.domain.shard import Lane, Manifest, input_key, plan_keys
from nightlane.domain.steps import Hold, held, redrive_at
from nightlane.domain.webhook_delivery import announce
from nightlane.settings import DispatchSettings, PlanningSettings


def plan_batch(ports: Ports[PlanningSettings], models: UpstreamModels, batch_id: str) -> None:
    """Validate and plan a batch, then admit waiting ones. Safe to repeat, and to run twice at once."""
    batch = ports.batches.begin_planning(batch_id, redrive_at(ports))
    if batch is None:
        _dispatch_if_missed(ports, batch_id)
    else:
        _validate_and_plan(ports, models, batch)
    admit_waiting(ports)


def _dispatch_if_missed(ports: Ports[DispatchSettings], batch_id: str) -> None:
    """Send the lanes if the planner that admitted the batch crashed before it could."""
    batch = ports.batches.get_batch(batch_id)
    if batch is not None and batch.status is BatchStatus.IN_PROGRESS and not batch.dispatches:
        dispatch(ports, batch)


def _validate_and_plan(ports: Ports[PlanningSettings], models: UpstreamModels, batch: Batch) -> None:
    with held(ports, batch) as hold:
        _read_and_plan(ports, models, batch, hold)


def _read_and_plan(ports: Ports[PlanningSettings], models: UpstreamModels, batch: Batch, hold: Hold) -> None:
    errors = ErrorList()
    found = ModelChecker(
        ports.settings.upstreams, models.is_missing, only_one=ports.settings.one_model_per_batch
    )
    checker = LineChecker(batch.request.endpoint, found)
    try:
        _pin_input(ports, batch, hold)
        chunks = hold.during(ports.blobs.stream(input_key(batch.id)))
        read = read_input(ports.settings, chunks, checker, errors)
        if not errors:
            _record(ports, batch, read, checker.model, hold)
    except Invalid as error:
        errors = ErrorList()
        errors.add(error)
    if errors:
        _fail(ports, batch, errors)


def _fail(ports: Ports, batch: Batch, errors: ErrorList) -> None:
    if ports.batches.fail_batch(batch, errors.errors(), int(ports.now())):
        announce(ports, batch.id)
        ports.metrics.add(Metric.BATCHES_FAILED)
        # Only now: if another planner found the input valid, the batch runs from this copy.
        ports.blobs.delete([input_key(batch.id)])


def _record(
    ports: Ports[PlanningSettings], batch: Batch, read: ReadInput, model: str | None, hold: Hold
) -> None:
    """Cut the shards and store the plan. Raises: Invalid, if the tenant's quota does not allow the batch."""
    lines, arrangement = read.lines, arrange(read.grouping.groups())
    lanes = _lanes(ports.settings, batch.quota, set(arrangement.routes.values()))
    keys = manifest_key, ordered_key, order_key = plan_keys(batch.id, batch.epoch)
    if arrangement.order is None:
        source, stored_order = input_key(batch.id), None
    else:
        lines = write_ordered(ports.blobs, input_key(batch.id), ordered_key, lines, arrangement.order, hold)
        ports.blobs.put(order_key, encode_order(arrangement.order))
        source, stored_order = ordered_key, order_key
    shards = cut_shards(lines, lanes, ports.settings, arrangement.routes)
    manifest = Manifest(source, lanes, shards, stored_order)
    ports.blobs.put(manifest_key, msgspec.json.encode(manifest))
    in_flight = sum(lane.capacity for lane in lanes)
    per_worker = ports.settings.requests_in_flight_per_worker
    size = BatchSize(read.request_bytes, read.prompt_tokens, len(lanes), in_flight, per_worker)
    try:
        is_ours = ports.batches.record_plan(
            batch,
            manifest_key=manifest_key,
            shards=len(shards),
            total=len(lines),
            model=model,
            at=int(ports.now()),
            size=size,
        )
    except QuotaReached as error:
        ports.blobs.delete(keys)
        raise too_much_enqueued(ports.quotas, batch, len(lines), size, model) from error
    if not is_ours:
        ports.blobs.delete(keys)


def _lanes(settings: PlanningSettings, quota: Quota, upstreams: set[str]) -> tuple[Lane, ...]:
    """Return the lanes of a batch. Raises: Invalid, if its tenant may not have enough requests in flight."""
    try:
        return lanes_to(settings, upstreams, in_flight_per_upstream(quota, len(upstreams)))
    except QuotaReached as error:
        raise too_few_in_flight(quota, len(upstreams)) from error


def _pin_input(ports: Ports[PlanningSettings], batch: Batch, hold: Hold) -> None:
    """Copy the input for the batch, so that deleting the file later does not affect it.

    Raises: Invalid, Fenced.
    """
    file_id = batch.request.input_file_id
    if is_s3_url(file_id):
        _pin_s3_input(ports, batch)
        return
    missing = Invalid(
        "invalid_request",
        f"Cannot find file {file_id}, or organization {batch.tenant} does not have access to it.",
        "file_id",
    )
    file = find_file(ports, batch.tenant, file_id)
    if file is None:
        raise missing
    if file.is_pending:
        raise Invalid("invalid_request", not_uploaded(file), "file_id")
    if file.purpose is not FilePurpose.BATCH:
        message = f"The file {file_id} has purpose '{file.purpose}'; an input file needs purpose 'batch'."
        raise Invalid("invalid_request", message, "file_id")
    check_size(ports.settings, file.size)
    try:
        if batch.request.retry_of is None:
            ports.blobs.copy(file.blob_key, input_key(batch.id))
        else:
            write_failed_lines(ports, batch, file, hold)
    except BlobMissing as error:
        raise missing from error


def _pin_s3_input(ports: Ports[PlanningSettings], batch: Batch) -> None:
    url = batch.request.input_file_id
    # The settings may have changed since the batch was created.
    location = find_input(ports.settings, batch.tenant, url)
    if location is None or ports.s3 is None:
        raise Invalid("invalid_request", f"Not allowed to read {url}.", "input_file_id")
    try:
        check_size(ports.settings, ports.s3.size(location))
        ports.s3.copy_in(location, input_key(batch.id))
        # It may have been replaced by a larger one meanwhile.
        check_size(ports.settings, ports.blobs.size(input_key(batch.id)))
    except LocationUnavailable as error:
        raise Invalid("invalid_request", f"Cannot read {url}: {error}.", "input_file_id") from error
