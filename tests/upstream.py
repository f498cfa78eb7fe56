"""A scripted inference endpoint on 127.0.0.1 that records its requests and how many were in flight."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from infra.home.serving import serving_application
from nightlane.upstream_settings import UpstreamSettings

Body = dict[str, Any]
# The name of an upstream that has none in the settings.
ONLY = "default"


def only(url: str, **fields: Any) -> tuple[UpstreamSettings, ...]:
    """Settings with one upstream."""
    return (UpstreamSettings(**{"url": url} | fields),)


def question(body: Body) -> str:
    """Return the question in a chat request."""
    return str(body["messages"][-1]["content"])


@dataclass
class Upstream:
    """Answers every chat request, unless `script` returns another response."""

    url: str = ""
    script: Callable[[Body, int], web.Response | None] = lambda _body, _seen: None
    """Called with the body and the number of earlier requests with the same question."""
    models: Callable[[str], web.Response | None] = lambda _path: None
    """Answers `GET /v1/models…`, by the path as it was sent; None is a route that does not exist."""
    delay_seconds: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    raw: list[bytes] = field(default_factory=list)
    others: list[tuple[str, Body]] = field(default_factory=list)
    """Path and body of the requests to other endpoints."""
    in_flight: int = 0
    max_in_flight: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            raw = await request.read()
            self.raw.append(raw)
            body = json.loads(raw)
            asked = question(body)
            seen = self.asked[asked]
            self.asked[asked] += 1
            await asyncio.sleep(self.delay_seconds)
            return self.script(body, seen) or chat_answer(body)
        finally:
            self.in_flight -= 1

    async def answer_other(self, request: web.Request) -> web.Response:
        """Answer a request to any other endpoint."""
        self.others.append((request.path, await request.json()))
        return web.json_response({"results": [{"index": 0, "relevance_score": 0.5}]})

    async def list_models(self, request: web.Request) -> web.Response:
        return self.models(request.raw_path) or web.Response(status=404, text="404: Not Found")


def chat_answer(body: Body) -> web.Response:
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": f"{body['model']}-2026",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": f"On {question(body)}"},
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "total_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 1},
            },
        }
    )


def refusal(status: int, **headers: str) -> web.Response:
    body = {"error": {"message": f"no: {status}", "type": "server_error", "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


@contextmanager
def serving(upstream: Upstream) -> Iterator[Upstream]:
    """Serve the upstream from a thread of its own."""

    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.answer)
    app.router.add_post("/v1/{other:.*}", upstream.answer_other)
    app.router.add_get("/v1/models{rest:.*}", upstream.list_models)
    with serving_application(app) as upstream.url:
        yield upstream
