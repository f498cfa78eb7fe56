"""The tables of the model in the docs, which are copied from what this prints."""

from collections.abc import Callable

from bench.bill import bill, billed_shape, unit_prices
from bench.limits import Load, demand, max_batches_per_day
from bench.scale_model import Shape, attempts_per_transaction
from bench.simulation import Overheads, Simulation
from nightlane.aws.prices import MILLION
from nightlane.settings import Settings
from nightlane.worker_memory import worker_memory

LATENCIES = (0.5, 2.0, 5.0, 20.0, 60.0)
IN_FLIGHT = (1, 10, 50, 100, 300)
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
        [
            f"{each} ({worker_memory(each)} MB)",
            *(f"{_bill(billed_shape(latency, each)):,.2f}" for latency in LATENCIES),
        ]
        for each in IN_FLIGHT
    ]
    return markdown(["in flight per worker", *(f"{latency:g} s" for latency in LATENCIES)], rows)


def units_table() -> str:
    """The price of each thing that a bill consists of."""
    rows = [[name, f"{dollars * MILLION:.2f}"] for name, dollars in unit_prices().items()]
    return markdown(["unit", "US dollars per million"], rows)


def parts_table() -> str:
    """The bill by service for batches of four sizes, with 5 s and 100 in flight."""
    sizes = (100, 1_000, 10_000, 50_000)
    bills = [bill(Shape(lines=lines)) for lines in sizes]
    rows = [[name, *(f"{each[name]:.3f}" for each in bills)] for name in bills[0]]
    rows.append(["total", *(f"{sum(each.values()):.3f}" for each in bills)])
    return markdown(["US dollars per million", *(f"batches of {lines:,}" for lines in sizes)], rows)


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
    return markdown(["limit", *(load.name for load in LOADS), "reached at batches/day"], rows)


def lanes_table() -> str:
    """Attempts per transaction on the batch's item, in closed form and simulated."""
    rows = []
    for lanes in LANES:
        row = [f"{lanes:,}", f"{attempts_per_transaction(lanes / 30):.2f}"]
        for spread in (0.0, 30.0):
            item = checkpoints_of(lanes, spread).batch_items[0]
            row.append(f"{item.attempts / item.transactions:.2f} ({item.given_up} of {item.transactions:,})")
        rows.append(row)
    return markdown(["lanes", "model, at random", "all start at once", "start within 30 s"], rows)


def checkpoints_of(lanes: int, start_spread: float) -> Simulation:
    """The largest batch on `lanes` workers with ten slow requests each, started within `start_spread` s."""
    settings = Settings(max_concurrent_requests_per_batch=lanes * 10, requests_in_flight_per_worker=10)
    overheads = Overheads(worker_start=0.5, start_spread=start_spread)
    simulation = Simulation(Shape(50_000, 60.0, 1.0, settings), iter([0.0]), overheads)
    simulation.run()
    return simulation


def _bill(shape: Shape) -> float:
    return sum(bill(shape).values())


def _share(value: float) -> str:
    return "< 0.1 %" if value < 0.001 else f"{value:.1%}".replace("%", " %")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; all columns but the first have numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


TABLES: tuple[Callable[[], str], ...] = (
    bill_table, units_table, parts_table, limits_table, lanes_table,
)  # fmt: skip
