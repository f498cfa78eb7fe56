"""The users of an endpoint: a burst of them each minute, and a few in between. All seconds are unscaled."""

import asyncio
import itertools
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp

from bench.token_server import MODEL

PERIOD_SECONDS, BURST_SECONDS = 60.0, 15.0
BURST_PER_SECOND, QUIET_PER_SECOND = 4.0, 0.8
MEAN_TOKENS, SIGMA, MAX_TOKENS = 100, 1.0, 2_000
SEED = 7


@dataclass(frozen=True, slots=True)
class Answered:
    """A request: how many tokens it brought, and after how many seconds."""

    tokens: int
    first_token: float
    last_token: float


def output_tokens(chance: random.Random, mean: float) -> int:
    """A log-normal length."""
    drawn = chance.lognormvariate(math.log(mean) - SIGMA**2 / 2, SIGMA)
    return max(1, min(MAX_TOKENS, round(drawn)))


def body(tokens: int, text: str = "Hello") -> dict[str, object]:
    """A chat request whose answer has this many tokens."""
    messages = [{"role": "user", "content": text}]
    return {"model": MODEL, "messages": messages, "max_completion_tokens": tokens}


class Users:
    """Send requests that do not wait for each other, the same ones in every run, until they are stopped."""

    def __init__(self, url: str, scale: float) -> None:
        self._url, self._scale = f"{url}/chat/completions", scale
        self._began = time.monotonic()
        self._is_stopped = False
        self.answered: list[Answered] = []

    def now(self) -> float:
        return (time.monotonic() - self._began) * self._scale

    async def run(self) -> None:
        """Return once all requests are answered that were sent before `stop`."""
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with session, asyncio.TaskGroup() as group:
            for at, tokens in _arrivals():
                await asyncio.sleep(max(0.0, at - self.now()) / self._scale)
                if self._is_stopped:
                    return
                group.create_task(self._ask(session, tokens))

    def stop(self) -> None:
        self._is_stopped = True

    async def _ask(self, session: aiohttp.ClientSession, tokens: int) -> None:
        at = self.now()
        async with session.post(self._url, json=body(tokens) | {"stream": True}) as response:
            response.raise_for_status()
            await response.content.readany()
            first_token = self.now() - at
            await response.read()
        self.answered.append(Answered(tokens, first_token, self.now() - at))


def _arrivals() -> Iterator[tuple[float, int]]:
    """When each request is sent, and its tokens: a Poisson process whose rate changes with the bursts."""
    chance, at = random.Random(SEED), 0.0
    for _ in itertools.count():
        at += chance.expovariate(BURST_PER_SECOND)
        # Between bursts most of them are left out.
        is_burst = at % PERIOD_SECONDS < BURST_SECONDS
        if is_burst or chance.random() < QUIET_PER_SECOND / BURST_PER_SECOND:
            yield at, output_tokens(chance, MEAN_TOKENS)
