"""A server at home, and a proxy before it that refuses the first attempt of every request."""

from collections.abc import Iterator

import aiohttp
import httpx2
import pytest
from aiohttp import web

from tests.e2e.conftest import HomeInstance, running_home
from tests.serving import serving_application


@pytest.fixture(scope="session")
def home() -> Iterator[HomeInstance]:
    with running_home({"latency_mean": 0.01}, max_concurrent_batches=8) as instance:
        yield instance


@pytest.fixture(scope="session")
def flaky_url(home: HomeInstance) -> Iterator[str]:
    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("x-stainless-retry-count") == "0":
            return web.Response(status=503, headers={"Retry-After": "0.01"})
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        url = home.base_url.removesuffix("/v1") + request.raw_path
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, url, data=body, headers=headers) as answer,
        ):
            kept = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", forward)
    with serving_application(app) as url:
        yield url


@pytest.fixture(scope="session")
def environment(home: HomeInstance, flaky_url: str) -> dict[str, str]:
    """What a suite in another language or environment needs to know."""
    paths = httpx2.get(f"{home.base_url}/openapi.json").json()["paths"]
    return {
        "NIGHTLANE_URL": home.base_url,
        "NIGHTLANE_FLAKY_URL": flaky_url,
        "NIGHTLANE_KEY": home.keys["acme"],
        "NIGHTLANE_OTHER_KEY": home.keys["other"],
        "NIGHTLANE_PATHS": " ".join(paths),
    }
