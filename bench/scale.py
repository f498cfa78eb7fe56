"""The accuracy of the model in docs/cost-and-scale.md: model ÷ simulation, and simulation ÷ real runs."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle

from bench.batches import bodies, input_file, measure_functions, run_batch, start_rig
from bench.lane_model import lane_pace, pool_seconds
from bench.memory import LINE_BYTES
from bench.result import Figure, Result
from bench.scale_model import ONE_WORKER, Shape, run_of, waiting_seconds
from bench.simulation import Overheads, Simulation, poisson_arrivals
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream
from nightlane.settings import Settings

REAL_RUN_BATCHES, REAL_RUN_LINES, REAL_RUN_LIMIT = 3, 500, 10
REAL_RUN_BEHAVIOUR = Behaviour(latency_mean=0.2, latency_sigma=0.5)
# Lines, slots and mean latency of lanes that are handed over at deadlines.
LANES = ((50_000, 100, 5.0), (50_000, 300, 5.0), (10_000, 100, 20.0))
NO_OVERHEADS = Overheads(worker_start=0, transaction=0)


def measure(max_lines: int) -> Result:
    """Model ÷ simulation, simulation ÷ a real run, and the largest batch."""
    figures = []
    lanes = {each: lane_agreement(*each) for each in LANES}
    for name, (model, simulated), unit in (
        ("pool of 1,000 lines, 100 slots", pool_agreement(1_000, 100, 1.0), "s"),
        ("pool of 4,800 lines, 100 slots", pool_agreement(4_800, 100, 1.0), "s"),
        *(
            (
                f"lane of {lines:,} lines of {latency:g} s, {slots} slots",
                (model.seconds, simulated.seconds),
                "s",
            )
            for (lines, slots, latency), (model, simulated) in lanes.items()
        ),
        ("wait for one slot, 70 % busy", waiting_agreement(20_000, 1, 0.7), "s"),
        ("wait for four slots, 80 % busy", waiting_agreement(20_000, 4, 0.8), "s"),
        ("lines a second, ten slots", throughput_agreement(200, 10), "lines/s"),
    ):
        figures += [
            Figure(f"{name}: model", model, unit),
            Figure(f"{name}: simulation", simulated, unit),
            Figure(f"{name}: model ÷ simulation", model / simulated, "ratio", "0.9-1.1"),
        ]
    return Result(
        [
            *figures,
            *compare_with_real_runs(min(REAL_RUN_LINES, max_lines)),
            *large_batch(max_lines),
        ]
    )


def pool_agreement(lines: int, slots: int, sigma: float, rounds: int = 200) -> tuple[float, float]:
    """Seconds that a pool takes, in closed form and simulated."""
    settings = Settings(max_concurrent_requests_per_batch=slots)
    shape = Shape(lines, sigma=sigma, settings=settings, input_bytes=100)
    simulation = Simulation(shape, (at * 1e6 for at in range(rounds)), NO_OVERHEADS)
    simulation.run()
    return pool_seconds(lines, slots, shape.latency, sigma), sum(simulation.durations) / rounds


@dataclass(frozen=True, slots=True)
class LaneUse:
    """How long a lane takes, and what of `infer`, without the start of its workers."""

    seconds: float
    invocations: float
    worker_seconds: float


def lane_agreement(lines: int, slots: int, latency: float, rounds: int = 10) -> tuple[LaneUse, LaneUse]:
    """What a lane takes that may need several invocations, in closed form and simulated."""
    settings = Settings(max_concurrent_requests_per_batch=slots, requests_in_flight_per_worker=slots)
    shape = Shape(lines, latency, 1.0, settings)
    simulation = Simulation(shape, (at * 1e6 for at in range(rounds)), NO_OVERHEADS)
    simulation.run()
    model = lane_pace(lines, slots, latency, shape.sigma)
    return (
        LaneUse(model.seconds, model.invocations, model.seconds + model.overlap_seconds),
        LaneUse(
            sum(simulation.durations) / rounds,
            simulation.invocations / rounds,
            simulation.worker_seconds / rounds,
        ),
    )


def waiting_agreement(batches: int, slots: int, load: float) -> tuple[float, float]:
    """Mean seconds until admission, in closed form and simulated."""
    settings = ONE_WORKER.model_copy(update={"max_concurrent_batches": slots})
    rate = load * slots / 5.0
    simulation = Simulation(Shape(100, 5.0, 0.0, settings), poisson_arrivals(batches, rate), NO_OVERHEADS)
    simulation.run()
    return waiting_seconds(rate, 5.0, slots), sum(simulation.waits) / batches


def throughput_agreement(batches: int, slots: int) -> tuple[float, float]:
    """Lines per second with more batches than slots, in closed form and simulated."""
    settings = Settings(max_concurrent_batches=slots, max_concurrent_requests_per_batch=20)
    shape = Shape(1_000, 5.0, 1.0, settings)
    seconds = Simulation(shape, iter([0.0] * batches)).run()
    return slots * shape.lines / run_of(shape).inference_seconds, batches * shape.lines / seconds


def compare_with_real_runs(lines: int) -> list[Figure]:
    """Simulation ÷ real run; the time between two batches is measured with batches of one line."""
    batch_gap = _elapsed(1, Behaviour()) / (REAL_RUN_BATCHES - 1)
    measured = _elapsed(lines, REAL_RUN_BEHAVIOUR)
    latencies = cycle([latency_of(zlib.crc32(body), REAL_RUN_BEHAVIOUR) for body in bodies(lines)])
    settings = Settings(max_concurrent_requests_per_batch=REAL_RUN_LIMIT, checkpoint_seconds=1)
    overheads = replace(NO_OVERHEADS, assemble=batch_gap)
    arrivals = iter([0.0] * REAL_RUN_BATCHES)
    simulation = Simulation(Shape(lines, settings=settings), arrivals, overheads, latencies.__next__)
    simulated = simulation.run() - batch_gap
    name = f"{REAL_RUN_BATCHES} batches of {lines} lines, one slot"
    return [
        Figure("from one batch to the next, on this machine", batch_gap, "s"),
        Figure(f"{name}: measured", measured, "s"),
        Figure(f"{name}: simulation", simulated, "s"),
        Figure(f"{name}: simulation ÷ measured", simulated / measured, "ratio", "0.9-1.1"),
    ]


def _elapsed(lines: int, behaviour: Behaviour) -> float:
    """Measured seconds from the first to the last request of three batches that share one slot."""
    options = {"latency_mean": behaviour.latency_mean, "latency_sigma": behaviour.latency_sigma}
    with (
        MockUpstream(**options) as upstream,
        start_rig(upstream.url, max_concurrent_requests_per_batch=REAL_RUN_LIMIT) as rig,
        ThreadPoolExecutor(REAL_RUN_BATCHES) as clients,
    ):
        list(clients.map(run_batch, [rig] * REAL_RUN_BATCHES, [input_file(lines)] * REAL_RUN_BATCHES))
        return float(upstream.statistics()["elapsed"])


def large_batch(lines: int) -> list[Figure]:
    """Seconds that plan and assemble take for the largest batch, measured on this machine."""
    data = input_file(lines, LINE_BYTES)
    used, size = measure_functions(data), f"{lines:,} lines of {len(data) / 1e6:.0f} MB"
    return [Figure(f"{name}, {size}", used[name].milliseconds / 1e3, "s") for name in ("plan", "assemble")]
