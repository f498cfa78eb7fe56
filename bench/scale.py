"""What a million requests cost, how far the system scales, and how well the model of it holds.

`python -m bench scale` prints the tables of docs/cost-and-scale.md.
"""

import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle

from bench.batches import bodies, input_file, rig, run_batch, used_by
from bench.bill import bill, billed_shape, standing, unit_prices
from bench.limits import Load, demand, most_batches_a_day
from bench.memory import LARGE_LINES, LINE_BYTES
from bench.report import Figure, report
from bench.scale_model import (
    ONE_WORKER,
    Shape,
    attempts_a_transaction,
    pool_seconds,
    run_of,
    waiting_seconds,
)
from bench.simulation import Overheads, Simulation, at_random
from infra import prices
from infra.cli.mock.model import Behaviour, latency_of
from infra.cli.mock.process import MockUpstream
from nightlane.settings import MIB, Settings
from tests.rig.ledger import FunctionUse
from tests.rig.rig import RIG_DEFAULTS, Rig

LATENCIES = (0.5, 2.0, 5.0, 20.0, 60.0)
# In flight, MB: 256 MB holds 30-50 requests, 512 MB 100, 1,024 MB 300 (aiohttp over TLS).
WORKERS = ((1, 256), (1, 512), (10, 256), (10, 512), (50, 512), (100, 512), (300, 1_024))
LOADS = (
    Load("1 batch/day", 1, Shape()),
    Load("1,000/day", 1_000, Shape()),
    Load("100,000/day", 100_000, Shape()),
    Load("10⁹ lines/day as 1,000s", 1_000_000, Shape()),
    Load("10⁹ lines/day as 50,000s", 20_000, Shape(lines=50_000)),
)
LANES = (10, 100, 200, 500, 1_000)
ANCHOR_BATCHES, ANCHOR_LINES, ANCHOR_LIMIT = 3, 500, 10
ANCHOR = Behaviour(latency_mean=0.2, latency_sigma=0.5)


def bill_table() -> str:
    rows = [
        [f"{in_flight} ({memory} MB)"]
        + [f"{sum(bill(billed_shape(each, in_flight), memory).values()):,.2f}" for each in LATENCIES]
        for in_flight, memory in WORKERS
    ]
    return markdown(["in flight a worker"] + [f"{latency:g} s" for latency in LATENCIES], rows)


def parts_table() -> str:
    """The parts of the bill for batches of three sizes, 5 s and 100 in flight."""
    shapes = [Shape(lines=lines) for lines in (100, 1_000, 10_000, 50_000)]
    bills = [bill(shape, 512) for shape in shapes]
    rows = [[name] + [f"{each[name]:.3f}" for each in bills] for name in bills[0]]
    rows.append(["sum"] + [f"{sum(each.values()):.3f}" for each in bills])
    return markdown(["US dollars a million"] + [f"batches of {shape.lines:,}" for shape in shapes], rows)


def limits_table() -> str:
    """The share of every limit that each load uses, and the batches of 1,000 lines a day that meet it."""
    used = [dict(demand(load)) for load in LOADS]
    met = {limit: most_batches_a_day(limit, Shape()) for limit in used[0]}
    rows = [
        [limit.name]
        + [share(each[limit] / limit.most) for each in used]
        + ["-" if most > 1e11 else f"{float(f'{most:.2g}'):,.0f}"]
        for limit, most in sorted(met.items(), key=lambda pair: pair[1])
    ]
    return markdown(["limit"] + [load.name for load in LOADS] + ["met at batches/day"], rows)


def share(value: float) -> str:
    return "< 0.1 %" if value < 0.001 else f"{value:.1%}".replace("%", " %")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def agreement(name: str, model: float, observed: float, unit: str) -> list[Figure]:
    return [
        Figure(f"{name}: model", model, unit),
        Figure(f"{name}: simulation", observed, unit),
        Figure(f"{name}: model ÷ simulation", model / observed, "ratio", "0.9-1.1"),
    ]


def pool_agreement(lines: int, slots: int, sigma: float, rounds: int = 200) -> tuple[float, float]:
    """Seconds of a pool, in closed form and simulated."""
    settings = Settings(max_concurrent_requests_per_batch=slots)
    shape = Shape(lines, sigma=sigma, settings=settings, input_bytes=100)
    simulation = Simulation(
        shape, (at * 1e6 for at in range(rounds)), Overheads(shard_start=0, transaction=0)
    )
    simulation.run()
    return pool_seconds(lines, slots, shape.latency, sigma), sum(simulation.durations) / rounds


def waiting_agreement(batches: int, slots: int, load: float) -> tuple[float, float]:
    """Mean seconds until admission, in closed form and simulated."""
    settings = ONE_WORKER.model_copy(update={"max_concurrent_batches": slots})
    shape = Shape(100, 5.0, 0.0, settings)
    rate = load * slots / 5.0
    simulation = Simulation(shape, at_random(batches, rate), Overheads(shard_start=0, transaction=0))
    simulation.run()
    return waiting_seconds(rate, 5.0, slots), sum(simulation.waits) / batches


def throughput_agreement(batches: int, slots: int) -> tuple[float, float]:
    """Lines a second with more batches than slots, in closed form and simulated."""
    settings = Settings(max_concurrent_batches=slots, max_concurrent_requests_per_batch=20)
    shape = Shape(1_000, 5.0, 1.0, settings)
    simulation = Simulation(shape, iter([0.0] * batches))
    seconds = simulation.run()
    return slots * shape.lines / run_of(shape).inference_seconds, batches * shape.lines / seconds


def lanes_shape(lanes: int) -> Shape:
    """The largest batch, on so many workers of ten slow requests each."""
    limit = Settings(max_concurrent_requests_per_batch=lanes * 10, requests_in_flight_per_worker=10)
    return Shape(50_000, 60.0, 1.0, limit)


def checkpoints_of(lanes: int, start_spread: float) -> Simulation:
    """One batch whose lanes start within `start_spread` seconds, run to its end."""
    overheads = Overheads(shard_start=0.5, start_spread=start_spread)
    simulation = Simulation(lanes_shape(lanes), iter([0.0]), overheads)
    simulation.run()
    return simulation


def lanes_table() -> str:
    rows = []
    for lanes in LANES:
        row = [f"{lanes:,}", f"{attempts_a_transaction(lanes / 30):.2f}"]
        for spread in (0.0, 30.0):
            item = checkpoints_of(lanes, spread).batch_items[0]
            row.append(f"{item.attempts / item.transactions:.2f} ({item.given_up} of {item.transactions:,})")
        rows.append(row)
    header = ["lanes", "model, at random", "all start at once", "start within 30 s"]
    return markdown(header, rows)


def units_table() -> str:
    rows = [[name, f"{dollars * prices.MILLION:.2f}"] for name, dollars in unit_prices().items()]
    return markdown(["each", "US dollars for a million of them"], rows)


def shards_table() -> str:
    """The bill at 5 s with larger shards: a shard ends with slots that wait for its slowest line."""
    rows = []
    for mebibytes in (4, 8, 16):
        row = [f"{mebibytes} MiB"]
        for in_flight, memory in WORKERS[-3:]:
            shape = billed_shape(5.0, in_flight)
            settings = shape.settings.model_copy(update={"shard_max_bytes": mebibytes * MIB})
            row.append(f"{sum(bill(replace(shape, settings=settings), memory).values()):.2f}")
        rows.append(row)
    header = [
        "`shard_max_bytes`",
        *(f"{in_flight} in flight ({memory} MB)" for in_flight, memory in WORKERS[-3:]),
    ]
    return markdown(header, rows)


def idle_sweep(sweeps: int = 20) -> FunctionUse:
    """What the sweeper uses when there is nothing to do, measured on this machine."""
    with Rig(Settings(**RIG_DEFAULTS), {}, tick_seconds=0.5) as place:
        use = place.ledger.of("sweep")
        while not use.milliseconds:
            time.sleep(0.05)
        place.ledger.clear()
        while use.invocations < sweeps:
            time.sleep(0.05)
        time.sleep(0.3)
        return replace(use)


def _elapsed(lines: int, behaviour: Behaviour) -> float:
    """Seconds from the first request to the last of three batches through one slot, measured."""
    data = input_file(lines)
    options = {"latency_mean": behaviour.latency_mean, "latency_sigma": behaviour.latency_sigma}
    with (
        MockUpstream(**options) as upstream,
        rig(upstream.url, max_concurrent_requests_per_batch=ANCHOR_LIMIT) as place,
        ThreadPoolExecutor(ANCHOR_BATCHES) as clients,
    ):
        list(clients.map(run_batch, [place] * ANCHOR_BATCHES, [data] * ANCHOR_BATCHES))
        return float(upstream.statistics()["elapsed"])


def anchor() -> list[Figure]:
    """The simulation against a real run; the time between two batches is measured on empty ones."""
    hand_over = _elapsed(1, Behaviour()) / (ANCHOR_BATCHES - 1)
    measured = _elapsed(ANCHOR_LINES, ANCHOR)
    latencies = cycle([latency_of(zlib.crc32(body), ANCHOR) for body in bodies(ANCHOR_LINES)])
    settings = Settings(max_concurrent_requests_per_batch=ANCHOR_LIMIT, checkpoint_seconds=1)
    overheads = Overheads(shard_start=0.0, assemble=hand_over, transaction=0.0)
    simulation = Simulation(
        Shape(ANCHOR_LINES, settings=settings), iter([0.0] * ANCHOR_BATCHES), overheads, latencies.__next__
    )
    simulated = simulation.run() - hand_over
    name = f"{ANCHOR_BATCHES} batches of {ANCHOR_LINES} lines, one slot"
    return [
        Figure("from one batch to the next, on this machine", hand_over, "s"),
        Figure(f"{name}: measured", measured, "s"),
        Figure(f"{name}: simulation", simulated, "s"),
        Figure(f"{name}: simulation ÷ measured", simulated / measured, "ratio", "0.9-1.1"),
    ]


def large_batch() -> list[Figure]:
    """plan and assemble of the largest batch, measured on this machine."""
    data = input_file(LARGE_LINES, LINE_BYTES)
    used, size = used_by(data), f"{LARGE_LINES:,} lines of {len(data) / 1e6:.0f} MB"
    return [Figure(f"{name}, {size}", used[name].milliseconds / 1e3, "s") for name in ("plan", "assemble")]


def main() -> None:
    for table in (bill_table, units_table, parts_table, shards_table, limits_table, lanes_table):
        print(table(), end="\n\n")
    sweep = idle_sweep()
    figures = [
        Figure(f"bill, {latency:g} s, {in_flight} in flight, {memory} MB",
               sum(bill(billed_shape(latency, in_flight), memory).values()), "US dollars a million")
        for in_flight, memory in WORKERS
        for latency in LATENCIES
    ]  # fmt: skip
    figures += [
        Figure(f"{limit.name}, {load.name}", used / limit.most, "share of the limit")
        for load in LOADS
        for limit, used in demand(load)
    ]
    for name, (model, observed), unit in (
        ("pool of 1,000 lines, 100 slots", pool_agreement(1_000, 100, 1.0), "s"),
        ("pool of 4,800 lines, 100 slots", pool_agreement(4_800, 100, 1.0), "s"),
        ("wait for one slot, 70 % busy", waiting_agreement(20_000, 1, 0.7), "s"),
        ("wait for four slots, 80 % busy", waiting_agreement(20_000, 4, 0.8), "s"),
        ("lines a second, ten slots", throughput_agreement(200, 10), "lines/s"),
    ):
        figures += agreement(name, model, observed, unit)
    figures += anchor() + large_batch()
    figures += [
        Figure(f"{name}, an idle sweep", number / sweep.invocations, "calls")
        for name, number in sweep.calls.items()
    ]
    figures += [Figure(name, dollars, "US dollars a month") for name, dollars in standing(sweep).items()]
    report("scale", figures)
