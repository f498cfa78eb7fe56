"""An endpoint with one answer for every request, for measuring a worker."""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from infra.home.server_thread import ServerThread
from nightlane.settings import KIB
from tests.certificates import Certificate
from tests.rig.rig import HOST

VECTOR = [round(0.0123456789 * (number % 97) - 0.5, 12) for number in range(1_024)]
WRITE_BYTES = 64 * KIB


def embedding_answer(size: int) -> bytes:
    """A response of about `size` bytes to an embedding request, or of 23 KB if that is more."""
    one = json.dumps({"object": "embedding", "index": 0, "embedding": VECTOR})
    data = ",".join([one] * max(1, size // len(one)))
    usage = '{"prompt_tokens":1,"total_tokens":1}'
    return f'{{"object":"list","model":"large","usage":{usage},"data":[{data}]}}'.encode()


@contextmanager
def endpoint(
    path: str, body: bytes, seconds: float = 0.0, certificate: Certificate | None = None
) -> Iterator[str]:
    """The base URL of an endpoint that returns `body` after `seconds`; with a certificate, over TLS."""
    urls: list[str] = []
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.file, certificate.key)

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(seconds)
        # In pieces, so that this process does not hold a copy of the body for each connection.
        response = web.StreamResponse()
        response.content_type, response.content_length = "application/json", len(body)
        await response.prepare(request)
        for start in range(0, len(body), WRITE_BYTES):
            await response.write(body[start : start + WRITE_BYTES])
        await response.write_eof()
        return response

    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_post(f"/v1/{path}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0, ssl_context=context, backlog=1_024).start()
        urls.append(f"http{'s' if context else ''}://{HOST}:{runner.addresses[0][1]}/v1")
        ready()
        await stopping.wait()
        await runner.cleanup()

    thread = ServerThread(serve, 10)
    thread.start()
    try:
        yield urls[0]
    finally:
        thread.stop()
