"""CPU time per request on asyncio's event loop and on uvloop: a bare aiohttp loop, and Nightlane's client."""

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import files
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench.batches import bodies
from bench.result import Figure, Result
from bench.throughput import FAST_LATENCY, FAST_LINES, LIMIT, ROUNDS, bare_loop
from infra.cli.mock.process import MockUpstream
from nightlane.api_settings import MIB
from nightlane.aws.clients import Clients
from nightlane.domain.inference.budget import ByteBudget
from nightlane.settings import Settings
from nightlane.upstream_settings import UpstreamSettings
from nightlane.worker_wiring import connections_to

RUN: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


async def client(url: str, lines: int) -> None:
    """Send all requests with Nightlane's client and drop the responses."""
    waiting = iter(list(bodies(lines)))
    settings = Settings(upstreams=(UpstreamSettings(url=url),))
    connections = connections_to(settings, Clients(), time.time)
    async with connections.connect(settings.upstreams[0].name, ByteBudget(64 * MIB)) as upstream:

        async def slot() -> None:
            for body in waiting:
                await upstream.post("/chat/completions", body)

        await asyncio.gather(*(slot() for _ in range(LIMIT)))


SENDERS = {"bare aiohttp loop": bare_loop, "Nightlane's client": client}


def measure(max_lines: int) -> Result:
    """CPU time per request, and what uvloop would add to the Lambda layer."""
    lines = min(FAST_LINES, max_lines)
    seconds: dict[tuple[str, str], list[float]] = {}
    with MockUpstream(latency_mean=FAST_LATENCY) as upstream:
        for _ in range(ROUNDS):
            for sender in SENDERS:
                for loop in RUN:
                    command = [sys.executable, "-m", "bench.loops", sender, loop, upstream.url, str(lines)]
                    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                    seconds.setdefault((sender, loop), []).append(float(output))
    figures = [
        Figure(f"{sender} on {loop}", median(each) / lines * 1e6, "µs of CPU per request")
        for (sender, loop), each in seconds.items()
    ]
    size = sum(Path(str(each.locate())).stat().st_size for each in files("uvloop") or ())
    return Result([*figures, Figure("uvloop, unzipped", size / 1e6, "MB")])


def main() -> None:
    sender, loop, url, lines = sys.argv[1:]
    gc.freeze()
    began = time.process_time()
    RUN[loop](SENDERS[sender](url, int(lines)))
    print(time.process_time() - began)


if __name__ == "__main__":
    main()
