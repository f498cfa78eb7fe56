"""An endpoint on 127.0.0.1 whose every answer has the same size."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator

from aiohttp import web

from infra.home.server_thread import ServerThread
from tests.rig.rig import HOST

VECTOR = [round(0.0123456789 * (number % 97) - 0.5, 12) for number in range(1_024)]


def embeddings(size: int) -> bytes:
    """An answer of about so many bytes."""
    one = json.dumps({"object": "embedding", "index": 0, "embedding": VECTOR})
    data = ",".join([one] * max(1, size // len(one)))
    usage = '{"prompt_tokens":1,"total_tokens":1}'
    return f'{{"object":"list","model":"large","usage":{usage},"data":[{data}]}}'.encode()


@contextlib.contextmanager
def large_answers(size: int) -> Iterator[str]:
    """Its base URL, while the context is open."""
    body, urls = embeddings(size), list[str]()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_post("/v1/embeddings", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        urls.append(f"http://{HOST}:{runner.addresses[0][1]}/v1")
        ready()
        await stopping.wait()
        await runner.cleanup()

    thread = ServerThread(serve, 10)
    thread.start()
    try:
        yield urls[0]
    finally:
        thread.stop()
