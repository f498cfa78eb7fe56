"""How well the worker fills its slots, compared with an ideal pool and with a bare aiohttp loop."""

import asyncio
import subprocess
import sys
import zlib
from operator import truediv
from statistics import median

import aiohttp

from bench.batches import Served, bodies, input_file, run_batch, start_rig
from bench.result import Figure, Result
from bench.simulation import pool_ends
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream

LIMIT = 10
SLOW = Behaviour(latency_mean=0.2, latency_sigma=1.0)
SLOW_LINES = 500
FAST_LATENCY = 0.001
FAST_LINES = 10_000
ROUNDS = 3


def measure(max_lines: int) -> Result:
    """Slot efficiency, and requests per second."""
    slow, fast = min(SLOW_LINES, max_lines), min(FAST_LINES, max_lines)
    return Result(slot_efficiency(slow) + requests_per_second(fast))


def slot_efficiency(lines: int) -> list[Figure]:
    """Compared with a pool that loses no time between two lines."""
    latencies = [latency_of(zlib.crc32(body), SLOW) for body in bodies(lines)]
    ideal = sum(latencies) / (LIMIT * pool_ends(latencies, LIMIT)[-1])
    with MockUpstream(latency_mean=SLOW.latency_mean, latency_sigma=SLOW.latency_sigma) as upstream:
        with start_rig(upstream.url) as rig:
            run_batch(rig, input_file(lines))
        statistics = upstream.statistics()
    measured = statistics["mean_in_flight"] / LIMIT
    return [
        Figure("slot efficiency of an ideal rolling pool", ideal, "mean in flight ÷ limit"),
        Figure("slot efficiency", measured, "mean in flight ÷ limit"),
        Figure("slot efficiency ÷ ideal", measured / ideal, "ratio", "≥ 0.95"),
        Figure("maximum requests in flight", statistics["max_in_flight"], "requests", f"≤ {LIMIT}"),
    ]


def requests_per_second(lines: int) -> list[Figure]:
    with MockUpstream(latency_mean=FAST_LATENCY) as upstream, start_rig(upstream.url) as rig:
        return beside_a_bare_loop("Nightlane", rig, upstream, lines, "≥ 0.75")


def beside_a_bare_loop(
    name: str, instance: Served, upstream: MockUpstream, lines: int, bar: str
) -> list[Figure]:
    """An instance and a bare loop in turn, so that a change in the machine's speed affects both."""
    ours, theirs = [], []
    data = input_file(lines)
    for _ in range(ROUNDS):
        upstream.reset()
        # In a separate process, because an instance's threads may run in this one.
        subprocess.run([sys.executable, "-m", "bench.throughput", upstream.url, str(lines)], check=True)
        theirs.append(rate(upstream))
        upstream.reset()
        run_batch(instance, data)
        ours.append(rate(upstream))
    return [
        Figure("bare aiohttp loop, upstream of 1 ms", median(theirs), "requests/s"),
        Figure(f"{name}, upstream of 1 ms", median(ours), "requests/s"),
        Figure(f"{name} ÷ bare loop", median(map(truediv, ours, theirs)), "ratio", bar),
    ]


def rate(upstream: MockUpstream) -> float:
    statistics = upstream.statistics()
    return float(statistics["requests"] / statistics["elapsed"])


async def bare_loop(url: str, lines: int) -> None:
    """Send all requests with aiohttp and drop the responses."""
    waiting = iter(list(bodies(lines)))
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:

        async def slot() -> None:
            for body in waiting:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    await response.read()

        await asyncio.gather(*(slot() for _ in range(LIMIT)))


if __name__ == "__main__":
    asyncio.run(bare_loop(sys.argv[1], int(sys.argv[2])))
