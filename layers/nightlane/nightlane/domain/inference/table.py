"""The table that classifies every response of an upstream and says whose fault it is.

docs/inference.md shows the same table; a test keeps the two the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import msgspec

from nightlane.domain.inference.bodies import Body
from nightlane.domain.inference.ports import Kind


class Verdict(Enum):
    """What an outcome says about the line."""

    ANSWERED = "answered"
    """A result, for the output file."""
    REJECTED = "rejected"
    """The line's own fault: it becomes an error line at once."""
    DENIED = "denied"
    """The line's own fault if others are answered; an outage if none are."""
    REFUSED = "refused"
    """Says nothing about the line, which is retried as often as necessary."""
    FAILED = "failed"
    """May be the line's fault: counts against it once there is proof that the upstream works."""


class Observation(msgspec.Struct, frozen=True):
    """What the table's rows match on."""

    no_answer: Kind | None
    """Why there was no answer; None if there was one."""
    status: int
    body: Body
    is_html: bool

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. The first one that matches decides."""

    when: str
    kind: Kind
    verdict: Verdict
    why: str
    matches: Callable[[Observation], bool]


def _no_answer(kind: Kind) -> Callable[[Observation], bool]:
    return lambda seen: seen.no_answer is kind


def _status(*statuses: int) -> Callable[[Observation], bool]:
    return lambda seen: seen.status in statuses


TABLE: tuple[Row, ...] = (
    Row(
        "2xx with a JSON object that is not an error",
        Kind.ANSWERED,
        Verdict.ANSWERED,
        "a result",
        lambda seen: seen.ok and seen.body.is_object and not seen.body.has_error,
    ),
    Row(
        "no connection: refused, unknown host, invalid certificate, connection timeout",
        Kind.UNREACHABLE,
        Verdict.REFUSED,
        "nothing was sent, so it says nothing about the line",
        _no_answer(Kind.UNREACHABLE),
    ),
    Row(
        "a URL, header or key that cannot be sent",
        Kind.MISCONFIGURED,
        Verdict.REFUSED,
        "a configuration error, which affects every line",
        _no_answer(Kind.MISCONFIGURED),
    ),
    Row(
        "no answer within upstream_timeout_seconds, or 408",
        Kind.TIMEOUT,
        Verdict.FAILED,
        "the generation may be too long, or the server may hang",
        lambda seen: seen.no_answer is Kind.TIMEOUT or seen.status == 408,
    ),
    Row(
        "connection closed before the answer was complete",
        Kind.DISCONNECTED,
        Verdict.FAILED,
        "a line may crash the server; a restart looks the same",
        _no_answer(Kind.DISCONNECTED),
    ),
    Row(
        "an answer larger than max_answer_bytes",
        Kind.TOO_LARGE,
        Verdict.REJECTED,
        "a retry would be paid for again and be just as large",
        _no_answer(Kind.TOO_LARGE),
    ),
    Row(
        "an answer that is not HTTP",
        Kind.UNREADABLE,
        Verdict.FAILED,
        "it cannot be interpreted",
        _no_answer(Kind.UNREADABLE),
    ),
    Row(
        "2xx with an HTML page",
        Kind.GATEWAY,
        Verdict.REFUSED,
        "from a gateway or a login page, not from the model",
        lambda seen: seen.ok and seen.is_html,
    ),
    Row(
        "2xx with an empty body, or one that is not a JSON object",
        Kind.UNREADABLE,
        Verdict.FAILED,
        "truncated on the way, or the server failed on this line",
        lambda seen: seen.ok and not seen.body.is_object,
    ),
    Row(
        "2xx whose body, or one of its choices, is an error",
        Kind.ERROR_IN_SUCCESS,
        Verdict.FAILED,
        "routers send 200 before they know whether the provider fails",
        lambda seen: seen.ok and seen.body.has_error,
    ),
    Row(
        "1xx, 3xx",
        Kind.REDIRECT,
        Verdict.REFUSED,
        "the configured URL is not the final one, or a login page is in the way; redirects are not followed",
        lambda seen: seen.no_answer is Kind.REDIRECT or seen.status < 400,
    ),
    Row(
        "429 with the code insufficient_quota",
        Kind.QUOTA,
        Verdict.REFUSED,
        "the account has no quota left; see below for a batch that was never served",
        lambda seen: seen.status == 429 and seen.body.error_code == "insufficient_quota",
    ),
    Row("429", Kind.RATE_LIMITED, Verdict.REFUSED, "send fewer requests", _status(429)),
    Row("503, 529", Kind.OVERLOADED, Verdict.REFUSED, "send fewer requests", _status(503, 529)),
    Row(
        "any other 5xx (500, 501, 502, 504, …)",
        Kind.SERVER_ERROR,
        Verdict.FAILED,
        "the line may break the server, or the server may be broken",
        lambda seen: seen.status >= 500,
    ),
    Row(
        "413, 414, 431",
        Kind.REJECTED,
        Verdict.REJECTED,
        "the request is too large, whether the server or a gateway says so",
        _status(413, 414, 431),
    ),
    Row(
        "401, 402, 403, 404 with an OpenAI error",
        Kind.DENIED,
        Verdict.DENIED,
        "the key may not use this model, or is no longer valid",
        lambda seen: seen.status in (401, 402, 403, 404) and seen.body.has_error,
    ),
    Row(
        "401, 402, 403, 404, 405, 407, 421 otherwise; 4xx with an HTML page",
        Kind.GATEWAY,
        Verdict.REFUSED,
        "from a load balancer, proxy or firewall, not from the model",
        lambda seen: seen.is_html or seen.status in (401, 402, 403, 404, 405, 407, 421),
    ),
    Row(
        "409, 425, 499",
        Kind.SERVER_ERROR,
        Verdict.FAILED,
        "inference servers use these for 'not now'",
        _status(409, 425, 499),
    ),
    Row(
        "any other 4xx with a JSON object (400, 422, …)",
        Kind.REJECTED,
        Verdict.REJECTED,
        "the server read the request and says what is wrong with it",
        lambda seen: seen.body.is_object,
    ),
    Row(
        "any other 4xx",
        Kind.UNREADABLE,
        Verdict.FAILED,
        "not from an inference server, but may be about this line",
        lambda _seen: True,
    ),
)
