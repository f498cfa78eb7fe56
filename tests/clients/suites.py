"""Runs a suite in another environment or language against a running instance."""

import contextlib
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import httpx2
from aiohttp import web

from infra.home.serving import serving_application
from tests.clients.environments import BIN
from tests.e2e.conftest import HomeInstance, Instance, RigInstance

FOLDER = Path(__file__).parent
START_SECONDS = 60
# Without this project's configuration, whose plugins other environments do not have.
PYTEST = f"-m pytest -q -c {os.devnull} --noconftest -p no:cacheprovider".split()


def run_python(python: Path, suite: str, instance: Instance) -> None:
    """Run a suite with an interpreter that has pytest and the client."""
    with _environment(instance) as environment:
        _run(python, *PYTEST, FOLDER / suite, **environment)


def run_node(modules: Path, suite: str, instance: Instance) -> None:
    """Run a suite with the client in a folder of packages."""
    with _environment(instance) as environment:
        _run(BIN / "node", "--test", FOLDER / suite, NODE_CLIENT=str(modules), **environment)


@contextlib.contextmanager
def _environment(instance: Instance) -> Iterator[dict[str, str]]:
    document = httpx2.get(f"{instance.base_url}/openapi.json", timeout=START_SECONDS).json()
    paths = set(document["paths"])
    if not isinstance(instance, HomeInstance | RigInstance):
        # What is deployed may not call an address of this machine.
        paths.discard("/webhook_endpoints")
    with _refusing_first_attempts(instance.base_url) as flaky_url:
        yield {
            "NIGHTLANE_URL": instance.base_url,
            "NIGHTLANE_FLAKY_URL": flaky_url,
            "NIGHTLANE_KEY": instance.keys["acme"],
            "NIGHTLANE_OTHER_KEY": instance.keys["other"],
            "NIGHTLANE_PATHS": " ".join(paths),
        }


@contextlib.contextmanager
def _refusing_first_attempts(base_url: str) -> Iterator[str]:
    """Serve a proxy that returns 503 to the first attempt of every request of an official client."""
    # aiohttp's own was made when it was imported, perhaps before SSL_CERT_FILE was set.
    context = ssl.create_default_context()

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("x-stainless-retry-count") == "0":
            return web.Response(status=503, headers={"Retry-After": "0.01"})
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        url = base_url + request.raw_path.removeprefix("/v1")
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, url, data=body, headers=headers, ssl=context) as answer,
        ):
            kept = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", forward)
    with serving_application(app) as url:
        yield url


def _run(*command: str | Path, **environment: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(command, env=own | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
