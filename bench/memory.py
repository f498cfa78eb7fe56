"""Peak memory: a batch of 50,000 lines (200 MB) compared with 500 lines, and infer with large answers."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from bench.batches import batch_of, input_file, measure_functions, run_batch, shuffled_bodies, start_rig
from bench.result import Figure, Result
from infra.home.server_thread import ServerThread
from infra.resources import functions
from nightlane.domain.grouping import MAX_GROUPS
from nightlane.settings import MIB, Settings
from tests.rig.rig import HOST

FUNCTIONS = ("plan", "infer", "assemble")
SMALL_LINES = 500
LINE_BYTES = 3_950
PROMPT_BYTES = 3_750
KIB_PER_MIB = 1_024
ANSWERS = 40
ANSWER_BYTES = (4 * MIB, 15 * MIB)
VECTOR = [round(0.0123456789 * (number % 97) - 0.5, 12) for number in range(1_024)]


def measure(max_lines: int) -> Result:
    """Peak MiB of each function."""
    few = min(SMALL_LINES, max_lines)
    data = input_file(max_lines, LINE_BYTES)
    small, large = peak_memory(input_file(few, LINE_BYTES)), peak_memory(data)
    bodies = shuffled_bodies(max_lines, 2 * MAX_GROUPS, PROMPT_BYTES)
    ordered = peak_memory(batch_of("/v1/chat/completions", bodies))
    figures = [Figure("size of the large input", len(data) / 1e6, "MB")]
    for name in FUNCTIONS:
        figures += [
            Figure(f"{name}, {few} lines", small[name], "MiB"),
            Figure(f"{name}, {max_lines:,} lines", large[name], "MiB"),
            Figure(f"{name}, ratio", large[name] / small[name], "ratio", "≤ 1.3"),
            Figure(f"{name}, {max_lines:,} lines in {MAX_GROUPS} groups", ordered[name], "MiB"),
            Figure(f"{name}, ratio with groups", ordered[name] / small[name], "ratio", "≤ 1.3"),
        ]
    memory = next(each.memory for each in functions(Settings()) if each.name == "infer")
    for answer in ANSWER_BYTES:
        peak = peak_with_large_answers(answer, min(ANSWERS, max_lines))
        name = f"infer, ten answers of {answer // MIB} MiB at once"
        figures.append(Figure(name, peak, "MiB", f"≤ {memory}"))
    return Result(figures)


def peak_memory(data: bytes) -> dict[str, float]:
    """Peak MiB of each function, in processes that run only this batch."""
    used = measure_functions(data)
    return {name: used[name].peak_rss_kib / KIB_PER_MIB for name in FUNCTIONS}


def peak_with_large_answers(size: int, answers: int) -> float:
    """Peak MiB of infer with ten answers of `size` bytes at once."""
    with large_answers(size) as url, start_rig(url) as rig:
        request = b'{"model":"large","input":["x"]}'
        run_batch(rig, batch_of("/v1/embeddings", [request] * answers), "/v1/embeddings")
        return rig.ledger.functions["infer"].peak_rss_kib / KIB_PER_MIB


@contextmanager
def large_answers(size: int) -> Iterator[str]:
    """The base URL of an endpoint that always returns the same embeddings, about `size` bytes."""
    one = json.dumps({"object": "embedding", "index": 0, "embedding": VECTOR})
    data = ",".join([one] * max(1, size // len(one)))
    usage = '{"prompt_tokens":1,"total_tokens":1}'
    body = f'{{"object":"list","model":"large","usage":{usage},"data":[{data}]}}'.encode()
    urls: list[str] = []

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
