"""What decides how long a batch takes, from what its client has counted in the input: an extension."""

from collections.abc import Sequence
from dataclasses import dataclass

from nightlane.api_settings import EstimateSettings
from nightlane.domain.endpoints import endpoint_of
from nightlane.domain.errors import BadRequest
from nightlane.domain.line_checks import Invalid, ModelChecker
from nightlane.domain.quota_errors import too_few_in_flight
from nightlane.domain.quotas import Quota, QuotaReached, in_flight_per_upstream


@dataclass(frozen=True, slots=True)
class ModelRequests:
    """The requests of an input that name the same model, or none."""

    model: str | None
    requests: int
    input_bytes: int


@dataclass(frozen=True, slots=True)
class Routed:
    """Where the requests of an input go."""

    upstreams: tuple[str | None, ...]
    """The upstream of each model; None if no upstream takes it, so that the batch would fail."""
    max_in_flight: int | None
    """At each upstream; None if the tenant is not limited."""

    def used_or(self, default: str) -> set[str]:
        """Return the upstreams that are used, or the default if none of the models has one."""
        return {name for name in self.upstreams if name is not None} or {default}


def route_requests(
    settings: EstimateSettings, endpoint: str, models: Sequence[ModelRequests], quota: Quota
) -> Routed:
    """Find the upstreams of an input, without asking them. Raises: BadRequest."""
    total = sum(each.requests for each in models)
    if total > settings.max_batch_lines:
        message = f"A batch may have {settings.max_batch_lines} requests, and this one would have {total}."
        raise BadRequest(message, param="models")
    upstreams = tuple(_upstream_of(settings, endpoint, each.model) for each in models)
    used = len({name for name in upstreams if name is not None})
    try:
        return Routed(upstreams, in_flight_per_upstream(quota, max(1, used)))
    except QuotaReached as error:
        raise BadRequest(too_few_in_flight(quota, used).message, param="models") from error


def _upstream_of(settings: EstimateSettings, endpoint: str, model: str | None) -> str | None:
    checker = ModelChecker(settings.upstreams, lambda _: False)
    if model is None:
        return checker.upstream_by_default(endpoint_of(endpoint).default_model)
    try:
        return checker.upstream_of(model)
    except Invalid:
        return None
