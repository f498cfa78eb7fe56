"""An endpoint with one answer for every request, for measuring a worker."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from infra.home.serving import serving_application
from nightlane.api_settings import KIB
from tests.certificates import Certificate

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

    app = web.Application()
    app.router.add_post(f"/v1/{path}", answer)
    with serving_application(app, certificate.server_context() if certificate else None) as url:
        yield url
