"""The progress of a batch, an extension: more than OpenAI's batch object says."""

from enum import StrEnum

import msgspec

from nightlane.api_settings import EndpointSettings
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.batches import get_batch
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import Rest, Trouble


class WaitsFor(StrEnum):
    """What a batch is waiting for."""

    SLOT = "slot"
    """Other batches are running: see `max_concurrent_batches`."""
    ACTIVE_HOURS = "active_hours"
    """The endpoint may not be used at this hour."""
    ENDPOINT = "endpoint"
    """The endpoint refuses or fails every request."""


class Progress(msgspec.Struct, frozen=True):
    """The progress of a batch; times are seconds since 1970."""

    batch: Batch
    lines_per_second: float | None
    """The average since the batch started running."""
    seconds_left: int | None
    """At that rate."""
    waits_for: WaitsFor | None
    waits_since: int | None
    resumes_at: int | None
    """When the endpoint is tried again."""
    trouble: Trouble | None
    """How the endpoint last refused or failed."""


def get_progress(ports: Ports[EndpointSettings], tenant: str, batch_id: str) -> Progress:
    """Return the progress of a batch of the tenant. Raises: NotFound, BadRequest."""
    batch = get_batch(ports, tenant, batch_id)
    rate = _rate(batch, ports.now())
    waits_for, since, resumes_at, trouble = _find_wait(ports, batch)
    left = batch.total - batch.completed - batch.failed
    return Progress(
        batch=batch,
        lines_per_second=rate,
        seconds_left=int(left / rate) if rate and not batch.status.is_terminal else None,
        waits_for=waits_for,
        waits_since=since,
        resumes_at=resumes_at,
        trouble=trouble,
    )


def _rate(batch: Batch, now: float) -> float | None:
    done = batch.completed + batch.failed
    if batch.in_progress_at is None or not done:
        return None
    ended = batch.finalizing_at or batch.cancelled_at or batch.expired_at or now
    return done / max(1.0, ended - batch.in_progress_at)


def _find_wait(
    ports: Ports[EndpointSettings], batch: Batch
) -> tuple[WaitsFor | None, int | None, int | None, Trouble | None]:
    if batch.is_waiting:
        return WaitsFor.SLOT, batch.validated_at or batch.created_at, None, None
    if batch.status is not BatchStatus.IN_PROGRESS:
        return None, None, None, batch.trouble
    rest, opens_at = _rest_under_way(ports), _opens_at(ports)
    is_down = rest is not None and batch.trouble is not None
    if batch.is_resting and opens_at is not None and not is_down:
        return WaitsFor.ACTIVE_HOURS, None, opens_at, batch.trouble
    # With several upstreams, the one that rests may not be one of this batch's; or it is, and lines that
    # another one completed have cleared the batch's own trouble.
    is_ours = batch.is_resting or len(ports.settings.upstreams) == 1
    trouble = batch.trouble or (rest.trouble if rest is not None and is_ours else None)
    if trouble is None:
        return None, None, None, None
    return WaitsFor.ENDPOINT, trouble.since, rest.until if rest is not None else None, trouble


def _opens_at(ports: Ports[EndpointSettings]) -> int | None:
    """When the active hours of an upstream begin; None if all may be used now."""
    now = ports.now()
    openings = [each.active.opens_at(now) for each in ports.settings.upstreams if each.active is not None]
    return min((opens_at for opens_at in openings if opens_at is not None), default=None)


def _rest_under_way(ports: Ports[EndpointSettings]) -> Rest | None:
    rests = [ports.upstreams.get_rest(each.name) for each in ports.settings.upstreams]
    return next((rest for rest in rests if rest is not None and rest.until > ports.now()), None)
