"""An inference server that queues: a limited number of requests are generated at once, the others wait.

A request takes a time to its first token, and then the same time for each token, of which there are
`max_completion_tokens`. All times are divided by a scale, so that hours fit into minutes.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

HOST = "127.0.0.1"
MODEL = "simulated"
BACKLOG = 1_024
FIRST_TOKEN_SECONDS, TOKEN_SECONDS = 0.05, 0.02


class TokenServer:
    """`slots` requests are generated at once; first come, first served."""

    def __init__(self, slots: int, scale: float) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._scale = scale

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.list_models)
        return app

    async def list_models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        tokens = int(body["max_completion_tokens"])
        async with self._slots:
            await asyncio.sleep(FIRST_TOKEN_SECONDS / self._scale)
            if not body.get("stream"):
                await self._generate(tokens)
                return web.json_response(_answer(tokens))
            # The first token, and then the others together.
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
            await self._generate(tokens)
        await response.write_eof(b"data: [DONE]\n\n")
        return response

    async def _generate(self, tokens: int) -> None:
        await asyncio.sleep(tokens * TOKEN_SECONDS / self._scale)


def _answer(tokens: int) -> dict[str, object]:
    message = {"role": "assistant", "content": "a"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10},
    }


@contextmanager
def token_server(slots: int, scale: float) -> Iterator[str]:
    """Run a server as a process of its own. Yields its base URL, with /v1."""
    command = [sys.executable, "-m", "bench.token_server", str(slots), str(scale)]
    # Its input ends with this process, however that ends.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _serve(slots: int, scale: float) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    runner = web.AppRunner(TokenServer(slots, scale).application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=BACKLOG).start()
    print(f"http://{HOST}:{runner.addresses[0][1]}/v1", flush=True)
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
