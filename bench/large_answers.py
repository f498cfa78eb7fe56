"""An endpoint on 127.0.0.1 whose every answer has the same size."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator

from aiohttp import web

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
    loop, started, urls = asyncio.new_event_loop(), threading.Event(), list[str]()
    body = embeddings(size)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/embeddings", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        urls.append(f"http://{HOST}:{runner.addresses[0][1]}/v1")
        started.set()
        return runner

    def serve() -> None:
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
