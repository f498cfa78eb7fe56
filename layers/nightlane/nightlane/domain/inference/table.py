"""The one table of everything an upstream may answer, and whose fault it is.

docs/inference.md shows the same table; a test holds the two together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import msgspec

from nightlane.domain.inference.bodies import Body
from nightlane.domain.inference.ports import Kind


class Verdict(Enum):
    """What an outcome says of the line."""

    ANSWERED = "answered"
    """A result, for the output file."""
    REJECTED = "rejected"
    """The line's own error: an error line at once."""
    DENIED = "denied"
    """The line's own error if others are answered; an outage if nobody is."""
    REFUSED = "refused"
    """Says nothing about the line: it is asked again, as often as it takes."""
    FAILED = "failed"
    """May be the line's fault: counts against it once the upstream is seen to work."""


class Seen(msgspec.Struct, frozen=True):
    """An outcome as the table looks at it."""

    silence: Kind | None
    status: int
    body: Body
    is_html: bool

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Row:
    """The first row that matches decides."""

    when: str
    kind: Kind
    verdict: Verdict
    why: str
    matches: Callable[[Seen], bool]


def _silent(kind: Kind) -> Callable[[Seen], bool]:
    return lambda seen: seen.silence is kind


def _status(*statuses: int) -> Callable[[Seen], bool]:
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
        "no connection: refused, unknown host, certificate, nobody listens",
        Kind.UNREACHABLE,
        Verdict.REFUSED,
        "nothing was sent, so nothing is known of the line",
        _silent(Kind.UNREACHABLE),
    ),
    Row(
        "a URL, header or key that cannot be sent",
        Kind.MISCONFIGURED,
        Verdict.REFUSED,
        "the operator's mistake, and every line's",
        _silent(Kind.MISCONFIGURED),
    ),
    Row(
        "no answer within upstream_timeout_seconds, or 408",
        Kind.TIMEOUT,
        Verdict.FAILED,
        "a generation may be too long, or the server stuck",
        lambda seen: seen.silence is Kind.TIMEOUT or seen.status == 408,
    ),
    Row(
        "connection closed before the whole answer",
        Kind.DISCONNECTED,
        Verdict.FAILED,
        "a line may crash its server; a restart looks the same",
        _silent(Kind.DISCONNECTED),
    ),
    Row(
        "an answer larger than max_answer_bytes",
        Kind.TOO_LARGE,
        Verdict.REJECTED,
        "it would be as large the next time, and was paid for",
        _silent(Kind.TOO_LARGE),
    ),
    Row(
        "an answer that is not HTTP",
        Kind.UNREADABLE,
        Verdict.FAILED,
        "nobody can tell what it says",
        _silent(Kind.UNREADABLE),
    ),
    Row(
        "2xx with a page of HTML",
        Kind.GATEWAY,
        Verdict.REFUSED,
        "a gateway or a login speaks, not the model",
        lambda seen: seen.ok and seen.is_html,
    ),
    Row(
        "2xx with an empty body, or one that is not a JSON object",
        Kind.UNREADABLE,
        Verdict.FAILED,
        "cut on its way, or the server broke over this line",
        lambda seen: seen.ok and not seen.body.is_object,
    ),
    Row(
        "2xx whose body, or choice, is an error",
        Kind.ERROR_IN_SUCCESS,
        Verdict.FAILED,
        "routers answer 200 before they know that their provider fails",
        lambda seen: seen.ok and seen.body.has_error,
    ),
    Row(
        "1xx, 3xx",
        Kind.REDIRECT,
        Verdict.REFUSED,
        "to a login or another host: a key is not carried there",
        lambda seen: seen.status < 400,
    ),
    Row(
        "429 with the code insufficient_quota",
        Kind.QUOTA,
        Verdict.REFUSED,
        "the account is used up; see below for a batch that never ran",
        lambda seen: seen.status == 429 and seen.body.error_code == "insufficient_quota",
    ),
    Row("429", Kind.RATE_LIMITED, Verdict.REFUSED, "ask less", _status(429)),
    Row("503, 529", Kind.OVERLOADED, Verdict.REFUSED, "ask less", _status(503, 529)),
    Row(
        "any other 5xx (500, 501, 502, 504, …)",
        Kind.SERVER_ERROR,
        Verdict.FAILED,
        "a line that breaks its server, or a server that is broken",
        lambda seen: seen.status >= 500,
    ),
    Row(
        "413, 414, 431",
        Kind.REJECTED,
        Verdict.REJECTED,
        "this request is too large, whoever says so",
        _status(413, 414, 431),
    ),
    Row(
        "401, 402, 403, 404 with an OpenAI error",
        Kind.DENIED,
        Verdict.DENIED,
        "a model this key may not use, or a key that is no longer good",
        lambda seen: seen.status in (401, 402, 403, 404) and seen.body.has_error,
    ),
    Row(
        "401, 402, 403, 404, 405, 407, 421 otherwise; 4xx with a page of HTML",
        Kind.GATEWAY,
        Verdict.REFUSED,
        "a load balancer, a proxy or a firewall speaks, not the model",
        lambda seen: seen.is_html or seen.status in (401, 402, 403, 404, 405, 407, 421),
    ),
    Row(
        "409, 425, 499",
        Kind.SERVER_ERROR,
        Verdict.FAILED,
        "inference servers say 'not now' so",
        _status(409, 425, 499),
    ),
    Row(
        "any other 4xx with a JSON object (400, 422, …)",
        Kind.REJECTED,
        Verdict.REJECTED,
        "the model's server read the request and says what is wrong with it",
        lambda seen: seen.body.is_object,
    ),
    Row(
        "any other 4xx",
        Kind.UNREADABLE,
        Verdict.FAILED,
        "not the words of a model's server, but they may be about this line",
        lambda _seen: True,
    ),
)
