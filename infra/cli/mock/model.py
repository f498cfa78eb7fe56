"""A mock inference endpoint: deterministic, OpenAI-shaped, and with statistics of how busy it was.

The same body gets the same response, the same latency and the same injected error. A body may contain
`"mock": {"status": 400, "latency": 0.5, "fail_times": 2}` to choose how it is answered.
"""

import asyncio
import math
import random
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from msgspec import json

from . import answers, requests
from .gate import NO_LIMITS, Capacity, Gate, Refused

Json = dict[str, Any]
CHAT_MODELS = ("mock-small", "mock-large")
MODELS = (*CHAT_MODELS, "mock-embedding", "mock-moderation", "mock-image")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Latencies are log-normal, in seconds; `error_rate` is the share of bodies that fail once."""

    latency_mean: float = 0.0
    latency_sigma: float = 0.0
    error_rate: float = 0.0
    capacity: Capacity = NO_LIMITS
    seed: int = 0
    api_key: str | None = None
    """Return 401 to requests below /v1 without this key."""


@dataclass(slots=True)
class Statistics:
    """How busy the endpoint has been since the last reset; times in seconds."""

    requests: int = 0
    in_flight: int = 0
    answered: int = 0
    refused: int = 0
    seconds: float = 0.0
    """How long the answered requests took together."""
    max_in_flight: int = 0
    busy: float = 0.0
    """The integral of `in_flight` over time."""
    first_started: float = 0.0
    last_ended: float = 0.0
    times_seen: Counter[int] = field(default_factory=Counter)

    def change(self, by: int) -> None:
        now = time.monotonic()
        if self.requests:
            self.busy += self.in_flight * (now - self.last_ended)
        else:
            self.first_started = now
        self.last_ended = now
        self.in_flight += by
        if by > 0:
            self.requests += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def to_json(self) -> Json:
        elapsed = self.last_ended - self.first_started
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "answered": self.answered,
            "refused": self.refused,
            "seconds": self.seconds,
            "max_in_flight": self.max_in_flight,
            "mean_in_flight": self.busy / elapsed if elapsed else 0.0,
            "elapsed": elapsed,
            "bodies": len(self.times_seen),
            "repeated": sum(count - 1 for count in self.times_seen.values()),
        }


def latency_of(key: int, behaviour: Behaviour) -> float:
    """Seconds that this body takes: log-normal, with the configured mean for any sigma."""
    if not behaviour.latency_sigma or not behaviour.latency_mean:
        return behaviour.latency_mean
    normal = _draw(key, behaviour.seed).gauss(0, 1)
    mu = math.log(behaviour.latency_mean) - behaviour.latency_sigma**2 / 2
    return math.exp(mu + behaviour.latency_sigma * normal)


def _draw(key: int, seed: int) -> random.Random:
    return random.Random(key ^ seed << 32)


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint: how its requests are parsed and answered."""

    decoder: json.Decoder[Any]
    answer: Callable[[Any, int], Json]


NO_HINTS = requests.Hints()
ROUTES = {
    "/v1/chat/completions": Route(json.Decoder(requests.Chat), answers.chat),
    "/v1/completions": Route(json.Decoder(requests.Completion), answers.completion),
    "/v1/embeddings": Route(json.Decoder(requests.Embeddings), answers.embeddings),
    "/v1/responses": Route(json.Decoder(requests.Response), answers.response),
    "/v1/moderations": Route(json.Decoder(requests.Moderation), answers.moderation),
    "/v1/images/generations": Route(json.Decoder(requests.ImageGeneration), answers.images),
    "/v1/images/edits": Route(json.Decoder(requests.ImageEdit), answers.images),
}


class MockModel:
    """The endpoint's state, and how it handles a request."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._gate = Gate(behaviour.capacity, time.monotonic)
        self.statistics = Statistics()

    async def serve(self, request: web.BaseRequest) -> web.Response:
        key = self._behaviour.api_key
        if (
            key
            and request.path.startswith("/v1/")
            and request.headers.get("Authorization") != f"Bearer {key}"
        ):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        if (request.method, request.path) == ("POST", "/_mock/capacity"):
            self._gate.set(json.decode(await request.read(), type=Capacity))
            return _json({})
        if request.method == "POST" and (route := ROUTES.get(request.path)):
            return await self._infer(request, route)
        return self._other(request.method, request.path)

    async def _infer(self, request: web.BaseRequest, route: Route) -> web.Response:
        raw = await request.read()
        key = zlib.crc32(raw)
        statistics, behaviour = self.statistics, self._behaviour
        statistics.change(+1)
        statistics.times_seen[key] += 1
        try:
            began = time.monotonic()
            parsed = requests.read(route.decoder, raw)
            async with self._gate.enter(statistics.in_flight):
                hints = parsed.mock or NO_HINTS
                seconds = latency_of(key, behaviour) if hints.latency is None else hints.latency
                if seconds:
                    await asyncio.sleep(seconds)
            statistics.answered += 1
            statistics.seconds += time.monotonic() - began
            return self._answer(parsed, hints, key, route)
        except Refused:
            statistics.refused += 1
            wait = self._gate.capacity.retry_after
            headers = {"Retry_After": str(wait)} if wait else {}
            return _error(429, "Too many requests.", "rate_limit_exceeded", **headers)
        except requests.Invalid as invalid:
            return _error(400, invalid.message, invalid.code, invalid.param)
        finally:
            statistics.change(-1)

    def _answer(
        self, request: requests.Request, hints: requests.Hints, key: int, route: Route
    ) -> web.Response:
        times_seen = self.statistics.times_seen[key]
        if hints.status:
            return _error(hints.status, f"The request asks the mock for {hints.status}.")
        if times_seen <= hints.fail_times:
            return _error(503, "The request asks the mock to fail.")
        rate = self._behaviour.error_rate
        if rate and times_seen == 1 and _draw(key, self._behaviour.seed).random() < rate:
            return _error(500, "An injected error.")
        if request.model not in MODELS:
            return _model_not_found(request.model)
        return _json(route.answer(request, key))

    def _other(self, method: str, path: str) -> web.Response:
        match method, path.split("/")[1:]:
            case "GET", ["v1", "models"]:
                return _json({"object": "list", "data": [_model(each) for each in MODELS]})
            case "GET", ["v1", "models", name]:
                return _json(_model(name)) if name in MODELS else _model_not_found(name)
            case "GET", ["_mock", "stats"]:
                return _json(self.statistics.to_json())
            case "POST", ["_mock", "reset"]:
                self.statistics = Statistics()
                return _json({})
            case _, ["v1", "models"] | ["v1", "models", _]:
                return _method_not_allowed(method, path, "GET")
        if path in ROUTES:
            return _method_not_allowed(method, path, "POST")
        return _error(404, f"Invalid URL ({method} {path})")


def _json(body: Json, status: int = 200, **headers: str) -> web.Response:
    return web.Response(
        body=json.encode(body), status=status, content_type="application/json", headers=headers
    )


def _error(
    status: int, message: str, code: str | None = None, param: str | None = None, **headers: str
) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return _json(body, status, **{name.replace("_", "-"): value for name, value in headers.items()})


def _model_not_found(name: str) -> web.Response:
    return _error(404, f"The model '{name}' does not exist", "model_not_found", "model")


def _method_not_allowed(method: str, path: str, allowed: str) -> web.Response:
    message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    return _error(405, message, "method_not_supported", Allow=allowed)


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": answers.CREATED, "owned_by": "nightlane"}


async def start(behaviour: Behaviour, port: int = 0) -> tuple[str, Callable[[], Awaitable[None]]]:
    """Serve on 127.0.0.1; returns the base URL and a coroutine function that stops the server."""
    runner = web.ServerRunner(web.Server(MockModel(behaviour).serve, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/v1", runner.cleanup
