"""How well the worker fills its slots, compared with an ideal pool and with a bare aiohttp loop."""

import asyncio
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import truediv
from statistics import median

import aiohttp

from bench.batches import bodies, input_file, run_batch, start_rig
from bench.result import Figure, Result
from bench.simulation import pool_ends
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream
from nightlane.settings import Settings

LIMIT = 10
SLOW = Behaviour(latency_mean=0.2, latency_sigma=1.0)
SLOW_LINES = 500
FAST_LATENCY = 0.001
FAST_LINES = 10_000
ROUNDS = 7
BARE = "bare aiohttp loop"


@dataclass(frozen=True, slots=True)
class Pooled:
    """A batch of log-normal latencies that is compared with an ideal pool."""

    lines: int
    in_flight: int
    lanes: int
    latency_mean: float
    bar: str


# The mean keeps the requests per second, in flight ÷ mean, below what one core of client and server can do.
POOLED = (
    Pooled(10_000, 100, 1, 0.15, "≤ 1.03"),
    Pooled(10_000, 100, 4, 0.15, "≤ 1.03"),
    Pooled(50_000, 100, 1, 0.15, "≤ 1.03"),
    Pooled(50_000, 100, 4, 0.15, "≤ 1.03"),
    Pooled(50_000, 300, 1, 0.5, "≤ 1.05"),
)


def measure(max_lines: int) -> Result:
    """Slot efficiency, and requests per second."""
    slow, fast = min(SLOW_LINES, max_lines), min(FAST_LINES, max_lines)
    pooled = [replace(each, lines=min(each.lines, max_lines)) for each in POOLED]
    return Result(
        slot_efficiency(slow)
        + [beside_an_ideal_pool(each) for each in dict.fromkeys(pooled)]
        + requests_per_second(fast)
    )


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


def beside_an_ideal_pool(batch: Pooled) -> Figure:
    """The time from the first request to the last answer, divided by that of an ideal pool."""
    behaviour = Behaviour(latency_mean=batch.latency_mean, latency_sigma=1.0)
    latencies = (latency_of(zlib.crc32(body), behaviour) for body in bodies(batch.lines))
    ideal = pool_ends(latencies, batch.in_flight)[-1]
    with (
        MockUpstream(latency_mean=behaviour.latency_mean, latency_sigma=behaviour.latency_sigma) as upstream,
        start_rig(
            upstream.url,
            max_concurrent_requests_per_batch=batch.in_flight,
            requests_in_flight_per_worker=batch.in_flight // batch.lanes,
            shard_max_lines=Settings().shard_max_lines,
            checkpoint_seconds=Settings().checkpoint_seconds,
        ) as rig,
    ):
        run_batch(rig, input_file(batch.lines))
        measured = upstream.statistics()["elapsed"]
    lanes = "one lane" if batch.lanes == 1 else f"{batch.lanes} lanes"
    name = f"time ÷ ideal pool: {batch.lines:,} lines, {batch.in_flight} in flight, {lanes}"
    return Figure(name, measured / ideal, f"ratio; ideal {ideal:.1f} s", batch.bar)


def requests_per_second(lines: int) -> list[Figure]:
    with MockUpstream(latency_mean=FAST_LATENCY) as upstream, start_rig(upstream.url) as rig:
        return beside_a_bare_loop({"Nightlane": partial(run_batch, rig)}, upstream, lines, "≥ 0.90")


def beside_a_bare_loop(
    servers: Mapping[str, Callable[[bytes], object]], upstream: MockUpstream, lines: int, bar: str
) -> list[Figure]:
    """Servers that run a batch and a bare loop in turn, so that the machine's speed affects all of them.

    The bar is that of the first server.
    """
    rates: dict[str, list[float]] = {name: [] for name in (BARE, *servers)}
    data = input_file(lines)
    for _ in range(ROUNDS):
        upstream.reset()
        # In a separate process, because a server's threads may run in this one.
        subprocess.run([sys.executable, "-m", "bench.throughput", upstream.url, str(lines)], check=True)
        rates[BARE].append(rate(upstream))
        for name, run in servers.items():
            upstream.reset()
            run(data)
            rates[name].append(rate(upstream))
    figures = [
        Figure(f"{name}: upstream of 1 ms", median(each), "requests/s") for name, each in rates.items()
    ]
    for name in servers:
        ratio = median(map(truediv, rates[name], rates[BARE]))
        figures.append(Figure(f"{name}: requests/s ÷ bare loop", ratio, "ratio", bar))
        bar = ""
    return figures


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
