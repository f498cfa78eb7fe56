"""How well the model of docs/cost-and-scale.md holds: against a simulation, and that against real runs."""

import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle

from bench.batches import bodies, input_file, rig, run_batch, used_by
from bench.bill import standing
from bench.memory import LINE_BYTES
from bench.result import Figure, Result
from bench.scale_model import ONE_WORKER, Shape, pool_seconds, run_of, waiting_seconds
from bench.simulation import Overheads, Simulation, at_random
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream
from nightlane.settings import Settings
from tests.rig.ledger import FunctionUse

ANCHOR_BATCHES, ANCHOR_LINES, ANCHOR_LIMIT = 3, 500, 10
ANCHOR = Behaviour(latency_mean=0.2, latency_sigma=0.5)
NO_OVERHEADS = Overheads(shard_start=0, transaction=0)


def measure(most_lines: int) -> Result:
    """Model ÷ simulation, simulation ÷ a real run, the largest batch, and an idle stack."""
    figures = []
    for name, (model, simulated), unit in (
        ("pool of 1,000 lines, 100 slots", pool_agreement(1_000, 100, 1.0), "s"),
        ("pool of 4,800 lines, 100 slots", pool_agreement(4_800, 100, 1.0), "s"),
        ("wait for one slot, 70 % busy", waiting_agreement(20_000, 1, 0.7), "s"),
        ("wait for four slots, 80 % busy", waiting_agreement(20_000, 4, 0.8), "s"),
        ("lines a second, ten slots", throughput_agreement(200, 10), "lines/s"),
    ):
        figures += [
            Figure(f"{name}: model", model, unit),
            Figure(f"{name}: simulation", simulated, unit),
            Figure(f"{name}: model ÷ simulation", model / simulated, "ratio", "0.9-1.1"),
        ]
    sweep = idle_sweep()
    return Result(
        [
            *figures,
            *anchor(min(ANCHOR_LINES, most_lines)),
            *large_batch(most_lines),
            *(
                Figure(f"{name}, an idle sweep", n / sweep.invocations, "calls")
                for name, n in sweep.calls.items()
            ),
            *(Figure(name, dollars, "US dollars a month") for name, dollars in standing(sweep).items()),
        ]
    )


def pool_agreement(lines: int, slots: int, sigma: float, rounds: int = 200) -> tuple[float, float]:
    """Seconds of a pool, in closed form and simulated."""
    settings = Settings(max_concurrent_requests_per_batch=slots)
    shape = Shape(lines, sigma=sigma, settings=settings, input_bytes=100)
    simulation = Simulation(shape, (at * 1e6 for at in range(rounds)), NO_OVERHEADS)
    simulation.run()
    return pool_seconds(lines, slots, shape.latency, sigma), sum(simulation.durations) / rounds


def waiting_agreement(batches: int, slots: int, load: float) -> tuple[float, float]:
    """Mean seconds until admission, in closed form and simulated."""
    settings = ONE_WORKER.model_copy(update={"max_concurrent_batches": slots})
    rate = load * slots / 5.0
    simulation = Simulation(Shape(100, 5.0, 0.0, settings), at_random(batches, rate), NO_OVERHEADS)
    simulation.run()
    return waiting_seconds(rate, 5.0, slots), sum(simulation.waits) / batches


def throughput_agreement(batches: int, slots: int) -> tuple[float, float]:
    """Lines a second with more batches than slots, in closed form and simulated."""
    settings = Settings(max_concurrent_batches=slots, max_concurrent_requests_per_batch=20)
    shape = Shape(1_000, 5.0, 1.0, settings)
    seconds = Simulation(shape, iter([0.0] * batches)).run()
    return slots * shape.lines / run_of(shape).inference_seconds, batches * shape.lines / seconds


def anchor(lines: int) -> list[Figure]:
    """The simulation against a real run; the time between two batches is measured on empty ones."""
    hand_over = _elapsed(1, Behaviour()) / (ANCHOR_BATCHES - 1)
    measured = _elapsed(lines, ANCHOR)
    latencies = cycle([latency_of(zlib.crc32(body), ANCHOR) for body in bodies(lines)])
    settings = Settings(max_concurrent_requests_per_batch=ANCHOR_LIMIT, checkpoint_seconds=1)
    overheads = replace(NO_OVERHEADS, assemble=hand_over)
    arrivals = iter([0.0] * ANCHOR_BATCHES)
    simulation = Simulation(Shape(lines, settings=settings), arrivals, overheads, latencies.__next__)
    simulated = simulation.run() - hand_over
    name = f"{ANCHOR_BATCHES} batches of {lines} lines, one slot"
    return [
        Figure("from one batch to the next, on this machine", hand_over, "s"),
        Figure(f"{name}: measured", measured, "s"),
        Figure(f"{name}: simulation", simulated, "s"),
        Figure(f"{name}: simulation ÷ measured", simulated / measured, "ratio", "0.9-1.1"),
    ]


def _elapsed(lines: int, behaviour: Behaviour) -> float:
    """Seconds from the first request to the last of three batches through one slot, measured."""
    options = {"latency_mean": behaviour.latency_mean, "latency_sigma": behaviour.latency_sigma}
    with (
        MockUpstream(**options) as upstream,
        rig(upstream.url, max_concurrent_requests_per_batch=ANCHOR_LIMIT) as place,
        ThreadPoolExecutor(ANCHOR_BATCHES) as clients,
    ):
        list(clients.map(run_batch, [place] * ANCHOR_BATCHES, [input_file(lines)] * ANCHOR_BATCHES))
        return float(upstream.statistics()["elapsed"])


def large_batch(lines: int) -> list[Figure]:
    """plan and assemble of the largest batch, measured on this machine."""
    data = input_file(lines, LINE_BYTES)
    used, size = used_by(data), f"{lines:,} lines of {len(data) / 1e6:.0f} MB"
    return [Figure(f"{name}, {size}", used[name].milliseconds / 1e3, "s") for name in ("plan", "assemble")]


def idle_sweep(sweeps: int = 20) -> FunctionUse:
    """What the sweeper uses when there is nothing to do, measured on this machine."""
    with rig("", tick_seconds=0.5) as place:
        use = place.ledger.of("sweep")
        while not use.milliseconds:
            time.sleep(0.05)
        place.ledger.clear()
        while use.invocations < sweeps:
            time.sleep(0.05)
        time.sleep(0.3)
        return replace(use)
