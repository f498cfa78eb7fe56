"""The tables in docs/cost-and-scale.md, from the model only; `python -m bench tables` prints them."""

from collections.abc import Callable
from dataclasses import replace

from bench.bill import bill, billed_shape, unit_prices
from bench.limits import Load, demand, max_batches_per_day
from bench.scale_model import Shape, attempts_per_transaction
from bench.simulation import Overheads, Simulation
from infra.prices import MILLION
from nightlane.settings import MIB, Settings

LATENCIES = (0.5, 2.0, 5.0, 20.0, 60.0)
# (requests in flight, MB): 256 MB is enough for 30-50 requests, 512 MB for 100, 1,024 MB for 300 (over TLS).
WORKERS = ((1, 256), (1, 512), (10, 256), (10, 512), (50, 512), (100, 512), (300, 1_024))
LOADS = (
    Load("1 batch/day", 1, Shape()),
    Load("1,000/day", 1_000, Shape()),
    Load("100,000/day", 100_000, Shape()),
    Load("10⁹ lines/day as 1,000s", 1_000_000, Shape()),
    Load("10⁹ lines/day as 50,000s", 20_000, Shape(lines=50_000)),
)
LANES = (10, 100, 200, 500, 1_000)


def bill_table() -> str:
    """The bill by latency and by requests in flight."""
    rows = [
        [_worker(*worker), *(f"{_bill(billed_shape(each, worker[0]), worker[1]):,.2f}" for each in LATENCIES)]
        for worker in WORKERS
    ]
    return _markdown(["in flight per worker", *(f"{latency:g} s" for latency in LATENCIES)], rows)


def units_table() -> str:
    """The price of each thing that a bill consists of."""
    rows = [[name, f"{dollars * MILLION:.2f}"] for name, dollars in unit_prices().items()]
    return _markdown(["unit", "US dollars per million"], rows)


def parts_table() -> str:
    """The bill by service for batches of four sizes, with 5 s and 100 in flight."""
    sizes = (100, 1_000, 10_000, 50_000)
    bills = [bill(Shape(lines=lines), 512) for lines in sizes]
    rows = [[name, *(f"{each[name]:.3f}" for each in bills)] for name in bills[0]]
    rows.append(["total", *(f"{sum(each.values()):.3f}" for each in bills)])
    return _markdown(["US dollars per million", *(f"batches of {lines:,}" for lines in sizes)], rows)


def shards_table() -> str:
    """The bill at 5 s with larger shards; at a shard's end, slots wait for its slowest line."""
    rows = []
    for mebibytes in (4, 8, 16):
        row = [f"{mebibytes} MiB"]
        for in_flight, memory in WORKERS[-3:]:
            shape = billed_shape(5.0, in_flight)
            settings = shape.settings.model_copy(update={"shard_max_bytes": mebibytes * MIB})
            row.append(f"{_bill(replace(shape, settings=settings), memory):.2f}")
        rows.append(row)
    workers = [_worker(in_flight, memory, " in flight") for in_flight, memory in WORKERS[-3:]]
    return _markdown(["`shard_max_bytes`", *workers], rows)


def limits_table() -> str:
    """The share of every limit that each load uses, and the batches of 1,000 lines per day that reach it."""
    used = [dict(demand(load)) for load in LOADS]
    reached = {limit: max_batches_per_day(limit, Shape()) for limit in used[0]}
    rows = [
        [
            limit.name,
            *(_share(each[limit] / limit.maximum) for each in used),
            "-" if most > 1e11 else f"{float(f'{most:.2g}'):,.0f}",
        ]
        for limit, most in sorted(reached.items(), key=lambda pair: pair[1])
    ]
    return _markdown(["limit", *(load.name for load in LOADS), "reached at batches/day"], rows)


def lanes_table() -> str:
    """Attempts per transaction on the batch's item, in closed form and simulated."""
    rows = []
    for lanes in LANES:
        row = [f"{lanes:,}", f"{attempts_per_transaction(lanes / 30):.2f}"]
        for spread in (0.0, 30.0):
            item = checkpoints_of(lanes, spread).batch_items[0]
            row.append(f"{item.attempts / item.transactions:.2f} ({item.given_up} of {item.transactions:,})")
        rows.append(row)
    return _markdown(["lanes", "model, at random", "all start at once", "start within 30 s"], rows)


def checkpoints_of(lanes: int, start_spread: float) -> Simulation:
    """The largest batch on `lanes` workers with ten slow requests each, started within `start_spread` s."""
    settings = Settings(max_concurrent_requests_per_batch=lanes * 10, requests_in_flight_per_worker=10)
    overheads = Overheads(worker_start=0.5, start_spread=start_spread)
    simulation = Simulation(Shape(50_000, 60.0, 1.0, settings), iter([0.0]), overheads)
    simulation.run()
    return simulation


def _bill(shape: Shape, memory_mb: int) -> float:
    return sum(bill(shape, memory_mb).values())


def _worker(in_flight: int, memory_mb: int, unit: str = "") -> str:
    return f"{in_flight}{unit} ({memory_mb} MB)"


def _share(value: float) -> str:
    return "< 0.1 %" if value < 0.001 else f"{value:.1%}".replace("%", " %")


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


TABLES: tuple[Callable[[], str], ...] = (
    bill_table, units_table, parts_table, shards_table, limits_table, lanes_table,
)  # fmt: skip
