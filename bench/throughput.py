"""How well the worker fills its slots, against an ideal pool and against a bare aiohttp loop."""

import asyncio
import heapq
import subprocess
import sys
import zlib
from collections.abc import Sequence

import aiohttp

from bench.batches import bodies, input_file, rig, run_batch
from bench.report import Figure, report
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream

LIMIT = 10
SLOW = Behaviour(latency_mean=0.2, latency_sigma=1.0)
SLOW_LINES = 500
FAST_LATENCY = 0.001
FAST_LINES = 10_000
ROUNDS = 3


def ideal_efficiency(latencies: Sequence[float], limit: int) -> float:
    """Mean in flight ÷ limit of a pool that loses no time between requests."""
    slots = [0.0] * limit
    for latency in latencies:
        heapq.heapreplace(slots, slots[0] + latency)
    return sum(latencies) / (limit * max(slots))


def slot_efficiency() -> list[Figure]:
    latencies = [latency_of(zlib.crc32(body), SLOW) for body in bodies(SLOW_LINES)]
    ideal = ideal_efficiency(latencies, LIMIT)
    with MockUpstream(latency_mean=SLOW.latency_mean, latency_sigma=SLOW.latency_sigma) as upstream:
        with rig(upstream.url) as place:
            run_batch(place, input_file(SLOW_LINES))
        statistics = upstream.statistics()
    measured = statistics["mean_in_flight"] / LIMIT
    return [
        Figure("slot efficiency of an ideal rolling pool", ideal, "mean in flight ÷ limit"),
        Figure("slot efficiency", measured, "mean in flight ÷ limit"),
        Figure("slot efficiency ÷ ideal", measured / ideal, "ratio", "≥ 0.95"),
        Figure("most requests in flight", statistics["max_in_flight"], "requests", f"≤ {LIMIT}"),
    ]


def requests_per_second() -> list[Figure]:
    """The two in turn, so that a change of the machine's speed meets both."""
    ratios, ours, theirs = [], [], []
    with MockUpstream(latency_mean=FAST_LATENCY) as upstream, rig(upstream.url) as place:
        data = input_file(FAST_LINES)
        for _ in range(ROUNDS):
            upstream.reset()
            command = [sys.executable, "-m", "bench.throughput", upstream.url]
            subprocess.run(command, check=True)
            theirs.append(_rate(upstream))
            upstream.reset()
            run_batch(place, data)
            ours.append(_rate(upstream))
            ratios.append(ours[-1] / theirs[-1])
    return [
        Figure("bare aiohttp loop, upstream of 1 ms", sorted(theirs)[ROUNDS // 2], "requests/s"),
        Figure("Nightlane, upstream of 1 ms", sorted(ours)[ROUNDS // 2], "requests/s"),
        Figure("Nightlane ÷ bare loop", sorted(ratios)[ROUNDS // 2], "ratio", "≥ 0.75"),
    ]


def _rate(upstream: MockUpstream) -> float:
    statistics = upstream.statistics()
    return float(statistics["requests"] / statistics["elapsed"])


async def bare_loop(url: str) -> None:
    """What aiohttp can do when nobody keeps the answers."""
    waiting = iter(list(bodies(FAST_LINES)))
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:

        async def slot() -> None:
            for body in waiting:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    await response.read()

        await asyncio.gather(*(slot() for _ in range(LIMIT)))


def main() -> None:
    report("throughput", slot_efficiency() + requests_per_second())


if __name__ == "__main__":
    asyncio.run(bare_loop(sys.argv[1]))
