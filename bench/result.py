"""What a benchmark returns, and the JSON file it is saved in."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, and the target in `bar`."""

    name: str
    value: float
    unit: str
    bar: str = ""

    @property
    def shown(self) -> str:
        return f"{self.value:,.0f}" if self.value >= 100 else f"{self.value:.3g}"


@dataclass(frozen=True, slots=True)
class Chart:
    """Series at a position on a grid of 24 columns; a heading if there are none."""

    title: str
    unit: str
    x: int
    y: int
    width: int
    height: int
    stacked: bool = False
    series: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """Label → one value per point, None if there is no data."""
    points: Sequence[float | str] = field(default_factory=list)
    """Where the values are on the x axis, or the names of groups of bars. By default, each minute."""
    x_unit: str = ""
    logarithmic: bool = False
    """Both axes are; with bars, the axis of values."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark measured."""

    figures: Sequence[Figure] = ()
    charts: Sequence[Chart] = ()
    caption: str = ""
    """What the charts show."""
    command: str = ""
    """What made a saved result; `save` sets it."""


def save(result: Result, command: str, path: Path) -> None:
    """Save a result with the command that made it, one line per figure and chart."""
    record = {
        "command": command,
        "measured_at": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "caption": result.caption,
    }
    parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in record.items()]
    for name, values in (("figures", result.figures), ("charts", result.charts)):
        lines = ",\n".join(json.dumps(asdict(each), ensure_ascii=False) for each in values)
        parts.append(f'"{name}": [\n{lines}\n]')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def load(path: Path) -> Result:
    """Read what `save` wrote. Raises msgspec.ValidationError if it is not a result."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def show(title: str, result: Result) -> None:
    """Print the figures."""
    table = Table("figure", "value", "unit", "target", title=title)
    for figure in result.figures:
        table.add_row(figure.name, figure.shown, figure.unit, figure.bar)
    Console(width=110).print(table if result.figures else f"{title}: {len(result.charts)} charts")
