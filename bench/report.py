"""A figure is printed as a row of a table and kept as JSON."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, and what it is to reach."""

    name: str
    value: float
    unit: str
    bar: str = ""

    @property
    def shown(self) -> str:
        return f"{self.value:,.0f}" if self.value >= 100 else f"{self.value:.3g}"


def report(title: str, figures: Sequence[Figure]) -> None:
    """Print the figures; keep them in `bench/results/<title>.json`."""
    table = Table("figure", "value", "unit", "to reach", title=title)
    for figure in figures:
        table.add_row(figure.name, figure.shown, figure.unit, figure.bar)
    Console(width=110).print(table)
    RESULTS.mkdir(exist_ok=True)
    record = {
        "measured_at": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "figures": [asdict(figure) for figure in figures],
    }
    (RESULTS / f"{title}.json").write_text(json.dumps(record, indent=2) + "\n")
