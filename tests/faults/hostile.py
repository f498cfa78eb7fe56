"""An upstream that responds in every way in the table of outcomes: to some lines, to all, or for a while."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from tests.faults.clock import VirtualClock

Shape = Callable[[], Answer]


def answer(
    status: int, body: Any, retry_after: float | None = None, kind: str = "application/json"
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, data, "req_1", retry_after, kind)


def page(status: int) -> Answer:
    return answer(status, b"<html><body>back soon</body></html>", kind="text/html")


def envelope(status: int, code: str | None = None) -> Answer:
    error = {"message": f"status {status}", "type": "x", "param": None, "code": code}
    return answer(status, {"error": error})


def no_answer(kind: Kind) -> Shape:
    def fail() -> Answer:
        raise NoAnswer(kind, f"network error: {kind}")

    return fail


# These say nothing about the line: it must be retried as often as necessary.
REFUSALS: dict[str, Shape] = {
    "no connection": no_answer(Kind.UNREACHABLE),
    "a header that cannot be sent": no_answer(Kind.MISCONFIGURED),
    "429": lambda: envelope(429, "rate_limit_exceeded"),
    "429 with a Retry-After": lambda: answer(429, {"error": {"message": "slow down"}}, retry_after=7),
    "503": lambda: envelope(503),
    "529": lambda: envelope(529),
    "a page with 200": lambda: page(200),
    "a page with 403": lambda: page(403),
    "a text with 404": lambda: answer(404, b"default backend - 404", kind="text/plain"),
    "a redirect": lambda: answer(302, b""),
}
# The line's own fault if others are answered; an outage if none are.
DENIALS: dict[str, Shape] = {
    "an error with 401": lambda: envelope(401),
    "an error with 402": lambda: envelope(402),
    "an error with 404": lambda: envelope(404, "model_not_found"),
}
# These may be the line's fault.
FAILURES: dict[str, Shape] = {
    "500": lambda: envelope(500),
    "501": lambda: envelope(501),
    "a page with 502": lambda: page(502),
    "504": lambda: answer(504, b""),
    "no answer in time": no_answer(Kind.TIMEOUT),
    "a cut connection": no_answer(Kind.DISCONNECTED),
    "an empty 200": lambda: answer(200, b""),
    "half of a 200": lambda: answer(200, b'{"id": "c", "choi'),
    "an error in a 200": lambda: answer(
        200, {"error": {"message": "provider", "code": 429}, "choices": None}
    ),
    "409": lambda: envelope(409),
}
SHAPES = REFUSALS | DENIALS | FAILURES


@dataclass
class Outage:
    """Every request gets this until then; with `models_listed`, the list of models is still served."""

    shape: Shape
    until: float
    models_listed: bool = False
    since: float = 0.0

    def is_on(self, now: float) -> bool:
        return self.since <= now < self.until


@dataclass
class HostileUpstream:
    """Answers after `seconds`; question 1 always gets a 400, question 2 a 503 at first."""

    clock: VirtualClock
    limit: int
    seconds: float = 2.0
    capacity: int | None = None
    shared_limit: int | None = None
    """How many requests of all batches together may be in flight."""
    bad: dict[str, Shape] = field(default_factory=dict)
    """The answer that a line always gets, by `file/number`."""
    slow: dict[str, float] = field(default_factory=dict)
    """The seconds that each attempt on a line takes."""
    at_first: dict[str, Shape] = field(default_factory=dict)
    """The answer that only a line's first attempt gets."""
    outage: Outage | None = None
    meanwhile: Callable[[str], Awaitable[None]] | None = None
    """Called while a request is in flight."""

    asked: Counter[str] = field(default_factory=Counter)
    asked_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    in_outage: int = 0
    probes: int = 0
    answered: dict[str, tuple[int, float]] = field(default_factory=dict)
    """For each line with a successful answer, the worker that got it, and when."""
    worker: int = 0
    """The invocation that is sending requests now."""
    committed: set[tuple[str, int]] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    on_asked_again: Callable[[str, int, float], None] = lambda *_: None
    _in_flight: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def post(self, _path: str, body: bytes) -> Answer:
        batch, number = json.loads(body)["user"].split("/")
        key, place = f"{batch}/{number}", (batch, self.clock.depth)
        worker = self.worker
        self._note(key, batch, int(number))
        self._in_flight[place] += 1
        if self._in_flight[place] > self.limit:
            self.violations.append(f"{self._in_flight[place]} requests in flight")
        together = sum(count for (_, depth), count in self._in_flight.items() if depth == self.clock.depth)
        if self.shared_limit is not None and together > self.shared_limit:
            self.violations.append(f"{together} requests of all batches in flight")
        try:
            return await self._answer(key, number, place, worker)
        finally:
            self._in_flight[place] -= 1

    def _note(self, key: str, batch: str, number: int) -> None:
        if (batch, number) in self.committed:
            self.violations.append(f"{key} was sent again after it was committed")
        if key in self.answered:
            self.on_asked_again(key, *self.answered[key])
        self.asked[key] += 1
        self.asked_at[key].append(self.clock.now())

    async def _answer(self, key: str, number: str, place: tuple[str, int], worker: int) -> Answer:
        if self.outage is not None and self.outage.is_on(self.clock.now()):
            self.in_outage += 1
            return self.outage.shape()
        if self.capacity is not None and self._in_flight[place] > self.capacity:
            return envelope(429, "rate_limit_exceeded")
        await (self.meanwhile(key) if self.meanwhile else asyncio.sleep(self.slow.get(key, self.seconds)))
        if key in self.bad:
            return self.bad[key]()
        if key in self.at_first and self.asked[key] == 1:
            return self.at_first[key]()
        if number == "1":
            return envelope(400)
        if number == "2" and self.asked[key] == 1:
            return envelope(503)
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self.answered[key] = worker, self.clock.now()
        return answer(200, {"model": "m-1", "usage": usage})

    async def probe(self) -> Answer:
        self.probes += 1
        await asyncio.sleep(0)
        if self.outage is not None and self.outage.is_on(self.clock.now()) and not self.outage.models_listed:
            return self.outage.shape()
        return answer(200, {"object": "list", "data": []})
