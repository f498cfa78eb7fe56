"""A limiter before simulated upstreams, with an endless supply of lines, in simulated time."""

import math
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from statistics import fmean

from simpy import Environment, Event, Resource

from nightlane.domain.inference.limiter import Ended, Limiter

REFUSED_SECONDS = 0.005
SLOTS = 64
TOKENS_PER_SECOND = 50.0
Steps = Generator[Event, None, None]


@dataclass
class Reply:
    """What the upstream decided when a request arrived."""

    accepted: bool = True
    retry_after: float | None = None


class Upstream:
    """Answers everything; log-normal times of `seconds` on average, and as many tokens as that takes."""

    def __init__(self, env: Environment, seconds: float = 0.5, sigma: float = 0.3, seed: int = 1) -> None:
        self.env = env
        self.in_flight = 0
        self._random = random.Random(seed)
        self._seconds, self._sigma = seconds, sigma

    def decide(self) -> Reply:
        return Reply()

    def draw_seconds(self) -> float:
        return self._seconds * self._random.lognormvariate(-(self._sigma**2) / 2, self._sigma)

    def tokens_of(self, seconds: float) -> int:
        return max(1, round(seconds * TOKENS_PER_SECOND))

    def serve(self, seconds: float) -> Steps:
        yield self.env.timeout(seconds)


class Capacity(Upstream):
    """Refuses any more requests than `capacity` at once; None refuses everything."""

    capacity: int = 4
    retry_after: float | None = None

    def decide(self) -> Reply:
        return Reply(self.in_flight < self.capacity, self.retry_after)


class Bucket(Upstream):
    """Refuses more than `rate` requests a second, after a burst. With `asks`, it says how long to wait."""

    rate, burst, asks = 20.0, 10.0, False
    _tokens, _at = math.inf, 0.0

    def decide(self) -> Reply:
        self._tokens = min(self.burst, self._tokens + (self.env.now - self._at) * self.rate)
        self._at = self.env.now
        if self._tokens >= 1:
            self._tokens -= 1
            return Reply()
        return Reply(False, 1.0 if self.asks else None)


class Queue(Upstream):
    """Serves `slots` requests at once, the others wait; each takes `prompt_seconds` and its tokens."""

    prompt_seconds = 0.0

    def __init__(self, env: Environment, slots: int, **options: float) -> None:
        super().__init__(env, **options)  # type: ignore[arg-type]
        self._slots = Resource(env, slots)

    def serve(self, seconds: float) -> Steps:
        with self._slots.request() as turn:
            yield turn
            yield self.env.timeout(self.prompt_seconds + seconds)


class SharedQueue(Queue):
    """Others use it as well: each minute there is a burst of them."""

    period, burst, burst_rate, quiet_rate = 60.0, 15.0, 4.0, 0.8
    others_seconds = 2.0

    def __init__(self, env: Environment, slots: int, **options: float) -> None:
        super().__init__(env, slots, **options)
        self.waits: list[float] = []
        env.process(self._send_others())

    def _send_others(self) -> Steps:
        chance = random.Random(7)
        while True:
            rate = self.burst_rate if self.env.now % self.period < self.burst else self.quiet_rate
            yield self.env.timeout(chance.expovariate(rate))
            self.env.process(self._wait(chance.expovariate(1 / self.others_seconds)))

    def _wait(self, seconds: float) -> Steps:
        began = self.env.now
        with self._slots.request() as turn:
            yield turn
            self.waits.append(self.env.now - began)
            yield self.env.timeout(seconds)


@dataclass
class Client:
    """Sends as many requests as its limiter allows."""

    env: Environment
    limiter: Limiter
    upstream: Upstream
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)
    seconds_per_token: list[tuple[float, float]] = field(default_factory=list)
    in_flight: int = 0
    lone_refusals: int = 0

    def fill(self, _event: Event | None = None) -> None:
        """Start what may start now."""
        while self.in_flight < self.limiter.limit() and self.env.now >= self.limiter.pause_until:
            self.in_flight += 1
            self.env.process(self._send())
        if self.env.now < self.limiter.pause_until:
            timer = self.env.timeout(self.limiter.pause_until - self.env.now + 1e-9)
            assert timer.callbacks is not None
            timer.callbacks.append(self.fill)

    def _send(self) -> Steps:
        began, upstream, env = self.env.now, self.upstream, self.env
        reply, seconds = upstream.decide(), upstream.draw_seconds()
        if reply.accepted:
            upstream.in_flight += 1
            yield env.process(upstream.serve(seconds))
            upstream.in_flight -= 1
        else:
            yield env.timeout(REFUSED_SECONDS)
        self.in_flight -= 1
        tokens = upstream.tokens_of(seconds)
        self.limiter.on_outcome(Ended(began, env.now, self.in_flight, not reply.accepted, tokens))
        self._note(reply, (env.now - began) / tokens)
        self.fill()

    def _note(self, reply: Reply, seconds_per_token: float) -> None:
        now, limiter = self.env.now, self.limiter
        if reply.accepted:
            self.answered.append(now)
            self.seconds_per_token.append((now, seconds_per_token))
            self.lone_refusals = 0
        else:
            self.refused.append(now)
            alone = not self.in_flight
            self.lone_refusals += alone
            if alone or reply.retry_after is not None:
                limiter.pause(now, limiter.pause_after(self.lone_refusals, reply.retry_after))
        self.limits.append((now, limiter.limit()))

    def rate(self, since: float, until: float) -> float:
        """Answers per second."""
        return sum(since <= at < until for at in self.answered) / (until - since)

    def refused_share(self, since: float, until: float = float("inf")) -> float:
        """Refusals per request."""
        refused = sum(since <= at < until for at in self.refused)
        return refused / (refused + sum(since <= at < until for at in self.answered))

    def mean_limit(self, since: float, until: float) -> float:
        """The mean of the limit after each request."""
        return fmean(limit for at, limit in self.limits if since <= at < until)


def simulate(
    limiter: Limiter,
    make: Callable[[Environment], Upstream],
    until: float,
    *events: tuple[float, Callable[[Upstream], None]],
) -> Client:
    """Run until then; each event changes the upstream at its time."""
    env = Environment()
    client = Client(env, limiter, make(env))

    def at(seconds: float, change: Callable[[Upstream], None]) -> Steps:
        yield env.timeout(seconds)
        change(client.upstream)

    for each in events:
        env.process(at(*each))
    client.fill()
    env.run(until)
    return client
