"""The upstreams as JSON, an extension. Without URLs, and in our own words: tenants are not operators."""

from typing import Literal

from typing_extensions import TypedDict

from nightlane.domain.inference.ports import Kind
from nightlane.domain.trouble import Trouble
from nightlane.domain.upstreams import UpstreamStatus, UpstreamView

# What an endpoint says itself may be about another tenant's line, name hosts, or quote a key.
MESSAGES = {
    Kind.RATE_LIMITED: "It gets more requests than it allows.",
    Kind.QUOTA: "Its quota is used up.",
    Kind.OVERLOADED: "It is overloaded.",
    Kind.DENIED: "It did not accept the key, or the model.",
    Kind.GATEWAY: "A gateway in front of it returned an error.",
    Kind.REDIRECT: "It redirects to another address.",
    Kind.UNREACHABLE: "No connection could be made.",
    Kind.MISCONFIGURED: "Its settings do not allow requests.",
    Kind.SERVER_ERROR: "It had an error.",
    Kind.TIMEOUT: "It did not answer in time.",
    Kind.DISCONNECTED: "It closed the connection before it had answered.",
    Kind.UNREADABLE: "Its answer could not be read.",
    Kind.ERROR_IN_SUCCESS: "It returned an error as a success.",
}


class UpstreamLimit(TypedDict):
    """Requests in flight: `now` is what one worker last learned, if it had to send fewer than allowed,
    and `max` the most of all batches together. Null if there is no such limit.
    """

    now: int | None
    max: int | None


class UpstreamHours(TypedDict):
    """When an endpoint may be used: `opens_at` is set while it is closed, `closes_at` while it is open."""

    hours: str
    opens_at: int | None
    closes_at: int | None


class UpstreamError(TypedDict):
    """How an endpoint last refused or failed a request; `status` is null if there was no answer."""

    kind: str
    status: int | None
    message: str
    since: int


class Upstream(TypedDict):
    """An inference endpoint; `requests` and `refusals` are those of all batches from `counted_since` on.

    They are counted by the hour, and stored every five minutes while a batch runs.
    """

    object: Literal["upstream"]
    name: str
    models: list[str]
    status: UpstreamStatus
    limit: UpstreamLimit
    counted_since: int
    requests: int
    refusals: int
    resting_until: int | None
    active_hours: UpstreamHours | None
    last_error: UpstreamError | None


class UpstreamList(TypedDict):
    """All inference endpoints. A line goes to the first one with a pattern that matches its model."""

    object: Literal["list"]
    data: list[Upstream]


def upstream_object(upstream: UpstreamView) -> Upstream:
    return {
        "object": "upstream",
        "name": upstream.name,
        "models": list(upstream.models),
        "status": upstream.status,
        "limit": {"now": upstream.learned_limit, "max": upstream.max_concurrent_requests},
        "counted_since": upstream.counted_since,
        "requests": upstream.requests,
        "refusals": upstream.refusals,
        "resting_until": upstream.resting_until,
        "active_hours": _hours(upstream),
        "last_error": _error(upstream.trouble) if upstream.trouble else None,
    }


def _hours(upstream: UpstreamView) -> UpstreamHours | None:
    if upstream.active is None:
        return None
    return {
        "hours": str(upstream.active),
        "opens_at": upstream.opens_at,
        "closes_at": upstream.closes_at,
    }


def _error(trouble: Trouble) -> UpstreamError:
    return {
        "kind": trouble.kind,
        "status": trouble.status,
        "message": MESSAGES[Kind(trouble.kind)],
        "since": trouble.since,
    }
