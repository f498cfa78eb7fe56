"""Nightlane on one machine beside Llama Stack's reference provider and the ideal, with the same limit.

All of them get the same requests with the same latencies, which the requests ask the mock endpoint for.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from bench import reference
from bench.batches import batch_of
from bench.home import START_SECONDS, start_home
from bench.result import Chart, Figure, Result
from bench.servers import Server
from bench.simulation import pool_ends
from bench.throughput import BARE, FAST_LATENCY, FAST_LINES, LIMIT, ROUNDS, beside_a_bare_loop
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream

NIGHTLANE, IDEAL = "Nightlane", "ideal pool"
SIGMAS = 0.0, 0.5, 1.0, 1.5
SLOT_LINES, SLOT_LATENCY = 1_000, 0.2
SIZES = 500, 2_000, 10_000, 50_000
SIZE_LATENCY, SIZE_SIGMA = 0.01, 1.0
SAMPLE_SECONDS = 0.25

Start = Callable[[str], AbstractContextManager[Server]]


def contenders() -> dict[str, Start]:
    """How to start each server in front of an upstream; both have the same limit by default."""
    found: dict[str, Start] = {NIGHTLANE: partial(start_home, sample_seconds=SAMPLE_SECONDS)}
    if reference.is_installed():
        found[reference.NAME] = reference.start_ogx
    return found


def caption(text: str, starts: Iterable[str]) -> str:
    """A chart's caption, with what runs `ogx`, if it was measured."""
    versions = f"{reference.NAME} on Python {reference.python_version()}." if reference.NAME in starts else ""
    return f"{text}\n{versions}".strip()


def latencies(lines: int, mean: float, sigma: float) -> list[float]:
    """Log-normal latencies, in seconds; always the same for the same arguments."""
    behaviour = Behaviour(latency_mean=mean, latency_sigma=sigma)
    return [latency_of(number, behaviour) for number in range(lines)]


def input_with(seconds: Sequence[float]) -> bytes:
    """A batch input file whose requests take these times."""
    requests = (
        {
            "model": "mock-small",
            "messages": [{"role": "user", "content": f"Question {number}?"}],
            "mock": {"latency": round(each, 6)},
        }
        for number, each in enumerate(seconds)
    )
    return batch_of("/v1/chat/completions", (json.dumps(each).encode() for each in requests))


def measure(max_lines: int) -> Result:
    """Slot efficiency, time and memory by the number of lines, and requests per second."""
    starts = contenders()
    slots, slot_chart = slot_efficiency(starts, min(SLOT_LINES, max_lines))
    sizes, size_charts = by_size(starts, sorted({min(each, max_lines) for each in SIZES}))
    rates, rate_chart = requests_per_second(starts, min(FAST_LINES, max_lines))
    text = f"Batches of one mock endpoint, with {LIMIT} requests in flight, the default of both servers."
    return Result(slots + sizes + rates, [slot_chart, *size_charts, rate_chart], caption(text, starts))


def slot_efficiency(starts: Mapping[str, Start], lines: int) -> tuple[list[Figure], Chart]:
    """Mean requests in flight ÷ limit, from the first request to the last answer."""
    found: dict[str, list[float]] = {name: [] for name in (*starts, IDEAL)}
    inputs = [latencies(lines, SLOT_LATENCY, sigma) for sigma in SIGMAS]
    for each in inputs:
        found[IDEAL].append(sum(each) / (LIMIT * pool_ends(each, LIMIT)[-1]))
    for name, start in starts.items():
        with MockUpstream() as upstream, start(upstream.url) as server:
            for each in inputs:
                upstream.reset()
                server.run(input_with(each))
                found[name].append(upstream.statistics()["mean_in_flight"] / LIMIT)
    figures = [
        Figure(f"{name}: slot efficiency, σ = {sigma:g}", value, "mean in flight ÷ limit")
        for name, values in found.items()
        for sigma, value in zip(SIGMAS, values, strict=True)
    ]
    title = f"Slot efficiency: {lines:,} lines, mean {SLOT_LATENCY:g} s"
    unit = "mean in flight ÷ limit"
    return figures, Chart(title, unit, 0, 0, 12, 8, False, found, SIGMAS, "σ of the log-normal latencies")


def by_size(starts: Mapping[str, Start], sizes: Sequence[int]) -> tuple[list[Figure], list[Chart]]:
    """Seconds from the upload to the end of a batch, and peak memory, each on a new server."""
    inputs = [latencies(lines, SIZE_LATENCY, SIZE_SIGMA) for lines in sizes]
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    memory: dict[str, list[float]] = {name: [] for name in starts}
    for name, start in starts.items():
        for each in inputs:
            with MockUpstream() as upstream, start(upstream.url) as server:
                time.sleep(START_SECONDS)
                seconds[name].append(server.run(input_with(each)))
                memory[name].append(server.memory)
    seconds[IDEAL] = [pool_ends(each, LIMIT)[-1] for each in inputs]
    figures = [
        Figure(f"{name}: {what}, {lines:,} lines", value, unit)
        for what, unit, found in (("time", "s", seconds), ("peak memory", "MiB", memory))
        for name, values in found.items()
        for lines, value in zip(sizes, values, strict=True)
    ]
    title = f"Time of a batch: mean {SIZE_LATENCY * 1e3:g} ms, σ = {SIZE_SIGMA:g}"
    time_unit, memory_unit = "seconds from upload to end", "MiB, peak of all the server's processes"
    return figures, [
        Chart(title, time_unit, 12, 0, 12, 8, False, seconds, sizes, "lines", logarithmic=True),
        Chart(
            "Memory with the same batches",
            memory_unit,
            0,
            8,
            12,
            8,
            False,
            memory,
            [f"{n:,}" for n in sizes],
            "lines",
        ),
    ]


def requests_per_second(starts: Mapping[str, Start], lines: int) -> tuple[list[Figure], Chart]:
    """All servers and a bare loop in turn, on one upstream of 1 ms."""
    with MockUpstream(latency_mean=FAST_LATENCY) as upstream, ExitStack() as stack:
        servers = {name: stack.enter_context(start(upstream.url)) for name, start in starts.items()}
        runs = {name: server.run for name, server in servers.items()}
        figures = beside_a_bare_loop(runs, upstream, lines, "≥ 0.83")
    rates = {each.name.split(":")[0]: [each.value] for each in figures if each.unit == "requests/s"}
    ordered = {name: rates[name] for name in (*starts, BARE)}
    title = f"Requests per second: upstream of 1 ms, {lines:,} lines"
    return figures, Chart(title, f"median of {ROUNDS} rounds", 12, 8, 12, 8, False, ordered, [""])
