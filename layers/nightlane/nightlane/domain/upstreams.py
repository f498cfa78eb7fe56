"""The upstreams as tenants see them, an extension: are they available, and how much do they take?"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from nightlane.api_settings import EndpointSettings
from nightlane.domain.active_hours import ActiveHours
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import Trouble
from nightlane.domain.upstream_use import HOUR_SECONDS, first_hour


class UpstreamStatus(StrEnum):
    """Whether an upstream gets requests."""

    OK = "ok"
    RESTING = "resting"
    """It refused or failed every request, and is tried again later."""
    CLOSED = "closed"
    """It may not be used at this hour."""


@dataclass(frozen=True, slots=True)
class UpstreamView:
    """What is known about an upstream; times are seconds since 1970."""

    name: str
    models: tuple[str, ...]
    status: UpstreamStatus
    learned_limit: int | None
    """The requests in flight from one lane that it last took, if it did not take all."""
    max_concurrent_requests: int | None
    counted_since: int
    requests: int
    refusals: int
    resting_until: int | None
    active: ActiveHours | None
    opens_at: int | None
    closes_at: int | None
    trouble: Trouble | None
    """How it last refused or failed, in the hours that are counted. It has no message."""


def list_upstreams(ports: Ports[EndpointSettings]) -> Iterator[UpstreamView]:
    """Yield the upstreams, in the order in which they get lines."""
    now = ports.now()
    hour = first_hour(now)
    for each in ports.settings.upstreams:
        state, uses = ports.upstreams.get_state(each.name), ports.upstreams.uses(each.name, hour)
        rest = state.rest if state.rest is not None and state.rest.until > now else None
        opens_at = each.active.opens_at(now) if each.active else None
        troubles = [use.trouble for use in uses if use.trouble is not None]
        if state.rest is not None:
            stored = state.rest.trouble
            troubles.append(Trouble(stored.kind, stored.status, "", stored.since))
        status = UpstreamStatus.OK if opens_at is None else UpstreamStatus.CLOSED
        yield UpstreamView(
            name=each.name,
            models=(*each.rewrite, *each.models),
            status=status if rest is None else UpstreamStatus.RESTING,
            learned_limit=state.learned.requests if state.learned else None,
            max_concurrent_requests=each.max_concurrent_requests,
            counted_since=hour * HOUR_SECONDS,
            requests=sum(use.requests for use in uses),
            refusals=sum(use.refusals for use in uses),
            resting_until=rest.until if rest else None,
            active=each.active,
            opens_at=opens_at,
            closes_at=each.active.closes_at(now) if each.active else None,
            trouble=max(troubles, key=lambda trouble: trouble.since, default=None),
        )
