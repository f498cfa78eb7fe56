"""Serves an aiohttp application on 127.0.0.1 from a thread of its own."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from .server_thread import ServerThread

HOST = "127.0.0.1"
START_SECONDS = 10
BACKLOG = 1_024
RunnerOf = Callable[..., web.AppRunner]


@contextmanager
def serving_application(
    app: web.Application, context: ssl.SSLContext | None = None, runner_of: RunnerOf = web.AppRunner
) -> Iterator[str]:
    """Yield the base URL, with /v1; with a context, over TLS."""
    urls: list[str] = []

    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        runner = runner_of(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0, ssl_context=context, backlog=BACKLOG).start()
        urls.append(f"http{'s' if context else ''}://{HOST}:{runner.addresses[0][1]}/v1")
        ready()
        await stopping.wait()
        await runner.cleanup()

    thread = ServerThread(serve, START_SECONDS)
    thread.start()
    try:
        yield urls[0]
    finally:
        thread.stop()
