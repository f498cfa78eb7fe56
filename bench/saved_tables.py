"""The tables of saved results in the docs, each below a marker `<!-- bench NAME -->`."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.result import RESULTS, Figure, load
from bench.tables import markdown
from nightlane.worker_memory import worker_memory

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "performance.md", DOCS / "cost-and-scale.md")
# Version → result. The earlier ones were measured from their checkouts.
PROFILES = {"5023aa2": "profile-5023aa2", "now": "profile"}
COLD_STARTS = {"before": "coldstart-32b2948", "now": "coldstart"}


def figures(name: str) -> Sequence[Figure]:
    return load(RESULTS / f"{name}.json").figures


def compared(name: str) -> str:
    """What was measured of each server: the figures are named `server: what`."""
    cells: dict[str, dict[str, str]] = {}
    for figure in figures(name):
        server, _, what = figure.name.partition(": ")
        unit, _, note = figure.unit.partition("; ")
        cells.setdefault(f"{what} ({unit})", {})[server] = figure.shown + (f" ({note})" if note else "")
    return _table("", cells)


def model_accuracy() -> str:
    """The model beside the simulation: the figures are named `what: model` and `what: simulation`."""
    cells: dict[str, dict[str, str]] = {}
    for figure in figures("scale"):
        what, _, source = figure.name.partition(": ")
        unit = "" if figure.unit == "ratio" else f" {figure.unit}"
        cells.setdefault(what, {})[source] = figure.shown + unit
    return _table("", {what: row for what, row in cells.items() if "model" in row})


def memory_in_flight() -> str:
    """The peak memory of a worker by requests in flight: the figures are named `in flight, what`."""
    cells: dict[str, dict[str, str]] = {}
    for figure in figures("tls"):
        in_flight, _, what = figure.name.partition(", ")
        memory = worker_memory(int(in_flight.removesuffix(" in flight")))
        row = cells.setdefault(in_flight, {"memory of the function (MB)": str(memory)})
        row[f"{what} ({figure.unit})"] = figure.shown
    return _table("", cells)


def profiles() -> str:
    """Where the CPU time of a worker goes, before and now."""
    cells: dict[str, dict[str, str]] = {}
    for version, name in PROFILES.items():
        for figure in figures(name):
            program, _, part = figure.name.partition(": ")
            if part and program == "worker":
                cells.setdefault(part, {})[version] = f"{figure.value:.0f} %"
            elif not part and figure.unit != "ratio":
                cells.setdefault(f"{program}: CPU time per request", {})[version] = f"{figure.shown} µs"
    return _table("share of the worker's CPU time", dict(sorted(cells.items(), key=_is_total)))


def cold_starts() -> str:
    """CPU time until a process has imported its code or answered its first request, and that beside boto3."""
    cells: dict[str, dict[str, str]] = {}
    for version, name in COLD_STARTS.items():
        measured = figures(name)
        ratios = {
            what: each.value for each in measured for what, ratio, _ in [each.name.partition(", ÷ ")] if ratio
        }
        for figure in measured:
            if figure.name in ratios:
                cells.setdefault(figure.name, {})[version] = f"{figure.value:.0f} ({ratios[figure.name]:.2f})"
    return _table("CPU time in ms, and beside boto3", cells)


def memory_after_cold_starts() -> str:
    """The peak memory of a process that has answered its first request."""
    cells: dict[str, dict[str, str]] = {}
    for version, name in COLD_STARTS.items():
        for figure in figures(name):
            what, is_memory, _ = figure.name.partition(", peak memory")
            if is_memory and " and first " in what:
                cells.setdefault(what, {})[version] = f"{figure.value:.0f}"
    return _table("MiB of memory, at most", cells)


TABLES: Mapping[str, Callable[[], str]] = {
    **{name: partial(compared, name) for name in ("comparison", "recovery", "racing", "bill")},
    "scale": model_accuracy,
    "tls": memory_in_flight,
    "profile": profiles,
    "coldstart": cold_starts,
    "coldstart memory": memory_after_cold_starts,
}


def with_saved(page: str) -> str:
    """The page with the table of each saved result below its marker. Raises: KeyError: one has no table."""
    return re.sub(
        r"<!-- bench ([\w ]+) -->\n(?:\|.*\n)*",
        lambda found: f"<!-- bench {found[1]} -->\n{TABLES[found[1]]()}\n",
        page,
    )


def _is_total(row: tuple[str, Mapping[str, str]]) -> bool:
    return row[0].endswith("per request")


def _table(corner: str, cells: Mapping[str, Mapping[str, str]]) -> str:
    """Rows of cells by column; the columns are in the order in which they appear."""
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    return markdown(
        [corner, *columns],
        [[name, *(row.get(column, "") for column in columns)] for name, row in cells.items()],
    )
