"""How well the limiter uses an endpoint that refuses, limits the rate, queues or restarts, in real time."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.adaptive_run import LATENCY, LIMIT, SIGMA, Run
from bench.result import Figure, Result
from infra.cli.mock.gate import Capacity

# Figures leave out the start, in which the limit is found, and the end, in which lines run out.
START_SECONDS, END_SECONDS = 10.0, 2.0
SLOTS, USERS = 16, 2
# The target as an operator would choose it: what an idle server takes, and a little more.
TARGET_FACTOR = 1.15
AT_ONCE = 3


def _end(run: Run) -> float:
    return run.seconds - END_SECONDS


def _set(capacity: Capacity) -> Callable[[Run], None]:
    return lambda run: run.mock.set_capacity(capacity)


def measure(_max_lines: int) -> Result:
    """A few runs at once, each as long as the limit needs to settle, whatever the number of lines."""
    full, half = Capacity(rate_limit=16, retry_after=0), Capacity(rate_limit=8, retry_after=0)
    four = Run("capacity 4", Capacity(rate_limit=4, retry_after=0), 320)
    rate = Run("20 requests/s", Capacity(requests_per_second=20, retry_after=0), 700)
    asking = Run("20 requests/s, with Retry-After: 1", Capacity(requests_per_second=20), 700)
    halved = Run("capacity 16, then 8, then 16", full, 1_100, [(15, _set(half)), (30, _set(full))])
    queued = Run("16 slots and a queue", Capacity(slots=SLOTS), 800, users=USERS)
    careful = Run(
        "16 slots and a queue, with a target",
        Capacity(slots=SLOTS),
        800,
        users=USERS,
        target_factor=TARGET_FACTOR,
    )
    restarted = Run("restarts after 15 s, for 3 s", full, 900, [(15, Run.stop_mock), (18, Run.start_mock)])
    runs = [four, rate, asking, halved, queued, careful, restarted]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda run: run(), runs))
    figures = [*_refusing(four, 4)]
    for run in (rate, asking):
        figures.append(
            Figure(f"{run.name}: rate used", run.trace.rate(START_SECONDS, _end(run)) / 20, "ratio", "≥ 0.95")
        )
        figures.append(
            Figure(f"{run.name}: refused", run.trace.refused_share(START_SECONDS, _end(run)), "share")
        )
    figures += [
        Figure(f"{halved.name}: used before", halved.trace.in_flight(10, 15) / 16, "ratio"),
        Figure(f"{halved.name}: used while halved", halved.trace.in_flight(16, 30) / 8, "ratio"),
        Figure(f"{halved.name}: used from 5 s after", halved.trace.in_flight(35, _end(halved)) / 16, "ratio"),
        Figure(f"{halved.name}: refused", halved.trace.refused_share(START_SECONDS, _end(halved)), "share"),
        Figure(
            f"{queued.name}: limit used", (queued.trace.in_flight(10, _end(queued)) - USERS) / LIMIT, "ratio"
        ),
        _slowdown(queued),
        _slowdown(careful, "≤ 1.3"),
        Figure(
            f"{careful.name}: slots used",
            careful.trace.rate(START_SECONDS, _end(careful)) / queued.trace.rate(START_SECONDS, _end(queued)),
            "ratio of the answers per second without a target",
        ),
        Figure(
            f"{restarted.name}: used from 10 s after",
            restarted.trace.in_flight(28, _end(restarted)) / 16,
            "ratio",
        ),
    ]
    figures.append(Figure("failed lines of all runs", sum(run.failed for run in runs), "lines", "0"))
    caption = (
        f"Batches of one mock endpoint, with max_concurrent_requests_per_batch {LIMIT}; answers take"
        f" {LATENCY} s on average (sigma {SIGMA}). x: seconds."
    )
    return Result(figures, [chart for row, run in enumerate(runs) for chart in run.charts(row)], caption)


def _refusing(run: Run, capacity: int) -> Iterator[Figure]:
    used = run.trace.in_flight(START_SECONDS, _end(run)) / capacity
    yield Figure(f"{run.name}: used", used, "ratio", "≥ 0.95")
    share = run.trace.refused_share(START_SECONDS, _end(run))
    yield Figure(f"{run.name}: refused after {START_SECONDS:.0f} s", share, "share", "≤ 0.05")


def _slowdown(run: Run, bar: str = "") -> Figure:
    idle = run.p95(-math.inf, -math.inf)
    busy = run.p95(START_SECONDS, _end(run))
    return Figure(f"{run.name}: p95 of a user ÷ idle p95", busy / idle, "ratio", bar)
