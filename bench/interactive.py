"""Batches and interactive users on one endpoint: the shape of llm-d's benchmark of batch inference.

Three batches with windows of 30 minutes, 2 hours and 24 hours share a server with interactive users. It
queues instead of refusing, as most inference servers do: 50 ms to the first token, 20 ms for each token.
"""

import asyncio
from collections.abc import Iterator
from statistics import quantiles

from bench.interactive_run import MEAN_TOKENS, SCALE, SLOTS, WINDOWS, Case
from bench.result import Chart, Figure, Result
from bench.users import PERIOD_SECONDS

LINES = 1_000
LIMIT = 32
CAREFUL_LIMIT = 8
# As an operator would choose it: what the users measure without a batch, and a little more; or hardly more.
TARGET_FACTOR, STRICT_FACTOR = 1.15, 1.05
USERS_ALONE_SECONDS = 450.0
MILLISECONDS = 1_000
CHART_WIDTH, CHART_HEIGHT = 24, 6


def measure(max_lines: int) -> Result:
    """The users alone, then all cases side by side, each with a server of its own."""
    return asyncio.run(_measure(min(LINES, max_lines)))


async def _measure(lines: int) -> Result:
    alone = Case("no batch", seconds=USERS_ALONE_SECONDS * min(1.0, 2 * lines / LINES))
    await alone.run()
    idle = _seconds_per_token(alone) / SCALE
    adaptive, strict = (
        f"target_seconds_per_output_token={factor * idle:.6f}" for factor in (TARGET_FACTOR, STRICT_FACTOR)
    )
    cases = [
        _case(f"limit {LIMIT}, one at a time", lines, 1),
        _case(f"limit {LIMIT}, three at once", lines, 3),
        _case(f"limit {CAREFUL_LIMIT}, one at a time", lines, 1, limit=CAREFUL_LIMIT),
        _case(f"adaptive {TARGET_FACTOR}, one at a time", lines, 1, adaptive),
        _case(f"adaptive {TARGET_FACTOR}, three at once", lines, 3, adaptive),
        _case(f"adaptive {STRICT_FACTOR}, one at a time", lines, 1, strict),
    ]
    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(case.run())
    figures = [figure for case in [alone, *cases] for figure in _figures(case)]
    return Result(figures, [*_charts([alone, *cases])], _caption(lines))


def _case(name: str, lines: int, batches: int, *settings: str, limit: int = LIMIT) -> Case:
    chosen = (
        f"max_concurrent_requests_per_batch={limit}",
        f"max_concurrent_batches={batches}",
        *settings,
    )
    return Case(name, lines, [text for each in chosen for text in ("--set", each)])


def _seconds_per_token(case: Case) -> float:
    """As the docs say that an operator measures it."""
    tokens = sum(each.tokens for each in case.answered)
    return sum(each.last_token for each in case.answered) / tokens


def _first_tokens(case: Case) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentiles of the milliseconds to a user's first token."""
    cuts = quantiles((each.first_token * MILLISECONDS for each in case.answered), n=100)
    return cuts[49], cuts[94], cuts[98]


def _figures(case: Case) -> Iterator[Figure]:
    for percentile, milliseconds in zip((50, 95, 99), _first_tokens(case), strict=True):
        yield Figure(f"{case.name}: users' time to first token, p{percentile}", milliseconds, "ms")
    seconds = sum(each.last_token for each in case.answered) / len(case.answered)
    yield Figure(f"{case.name}: users' whole requests, mean", seconds, "s")
    for window in case.completed:
        held_to = WINDOWS[window] / 60
        name = f"{case.name}: batch of {held_to:,.0f} min"
        yield Figure(f"{name}: finished inside its window", case.share_within(window), "share", "1")
        yield Figure(f"{name}: finished after", case.minutes(window), "min")


def _charts(cases: list[Case]) -> Iterator[Chart]:
    names = [case.name for case in cases]
    percentiles = list(zip(*map(_first_tokens, cases), strict=True))
    series = dict(zip(("p50", "p95", "p99"), map(list, percentiles), strict=True))
    size = CHART_WIDTH, CHART_HEIGHT
    title, unit = "Users' time to first token", "ms, logarithmic"
    yield Chart(title, unit, 0, 0, *size, series=series, points=names, logarithmic=True)
    ran = [case for case in cases if case.lines]
    finished: dict[str, list[float | None]] = {
        f"batch of {seconds / 60:,.0f} min": [case.minutes(window) for case in ran]
        for window, seconds in reversed(WINDOWS.items())
    }
    ran_names = [case.name for case in ran]
    yield Chart(
        "Batches finished after", "minutes", 0, CHART_HEIGHT, *size, series=finished, points=ran_names
    )


def _caption(lines: int) -> str:
    return (
        f"Three batches of {lines:,} requests ({MEAN_TOKENS} tokens on average) and interactive users, with a"
        f" burst every {PERIOD_SECONDS:.0f} s, on an endpoint with {SLOTS} slots\n"
        f"and a queue: 50 ms to the first token, 20 ms a token. Adaptive: limit {LIMIT}, and a target of"
        f" {TARGET_FACTOR} or {STRICT_FACTOR} × the seconds per token that users measure alone.\n"
        f"All times were divided by {SCALE:.0f} in the run, and are shown as they would be without that."
    )
