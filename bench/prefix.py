"""Prefix-aware order: shuffled system prompts, in front of an endpoint that caches a few of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.batches import batch_of, run_batch, shuffled_bodies, start_rig
from bench.result import Figure, Result
from infra.home.serving import serving_application

LINES = 4_000
PROMPTS = 20
PROMPT_BYTES = 8_000
LIMIT = 10
CACHED_PROMPTS = 4
PREFILL_SECONDS = 0.2
DECODE_SECONDS = 0.05


@dataclass
class CachingEndpoint:
    """Keeps the last `CACHED_PROMPTS` system prompts; one that is not among them takes longer to answer."""

    url: str = ""
    hits: int = 0
    requests: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    _cache: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def hit_rate(self) -> float:
        return self.hits / self.requests

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return self.last_at - self.first_at

    async def answer(self, request: web.Request) -> web.Response:
        clock = asyncio.get_running_loop().time
        self.first_at = self.first_at or clock()
        body = await request.json()
        prompt = body["messages"][0]["content"]
        self.requests += 1
        if prompt in self._cache:
            self.hits += 1
        else:
            # As in vLLM, others can use it once it is computed.
            await asyncio.sleep(PREFILL_SECONDS)
        self._cache[prompt] = None
        self._cache.move_to_end(prompt)
        while len(self._cache) > CACHED_PROMPTS:
            self._cache.popitem(last=False)
        await asyncio.sleep(DECODE_SECONDS)
        self.last_at = clock()
        choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response(answer | {"choices": [choice], "usage": usage})


def measure(max_lines: int) -> Result:
    """Cache hits and time, in input order and in prefix order."""
    data = batch_of("/v1/chat/completions", shuffled_bodies(min(LINES, max_lines), PROMPTS, PROMPT_BYTES))
    plain, ordered = (run(data, prefix_order=prefix_order) for prefix_order in (False, True))
    return Result(
        [
            Figure("hit rate in input order", plain.hit_rate, "hits ÷ requests"),
            Figure("hit rate in prefix order", ordered.hit_rate, "hits ÷ requests", "≥ 0.9"),
            Figure("hit rate, prefix ÷ input order", ordered.hit_rate / plain.hit_rate, "ratio", "≥ 3"),
            Figure("time in input order", plain.seconds, "s"),
            Figure("time in prefix order", ordered.seconds, "s"),
            Figure("time, prefix ÷ input order", ordered.seconds / plain.seconds, "ratio", "≤ 0.5"),
        ]
    )


def run(data: bytes, *, prefix_order: bool) -> CachingEndpoint:
    """Run a batch and return the endpoint with what it counted."""
    settings: dict[str, Any] = {"prefix_order": prefix_order, "max_concurrent_requests_per_batch": LIMIT}
    with serving(CachingEndpoint()) as endpoint, start_rig(endpoint.url, **settings) as rig:
        run_batch(rig, data)
        return endpoint


@contextmanager
def serving(endpoint: CachingEndpoint) -> Iterator[CachingEndpoint]:
    """Serve the endpoint from a thread of its own."""

    app = web.Application(client_max_size=2 * PROMPT_BYTES)
    app.router.add_post("/v1/chat/completions", endpoint.answer)
    with serving_application(app) as endpoint.url:
        yield endpoint
