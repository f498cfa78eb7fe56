"""Draw the charts of saved results, without running a benchmark.

Text and colours are mid-tones on a transparent background, readable in light and in dark mode.
"""

import math
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.result import Chart, load

COLUMNS, COLUMN_INCHES, ROW_INCHES, CAPTION_INCHES = 24, 0.5, 0.4, 0.75
# Space around a plot for its title, ticks and legend, in inches: left, bottom, right, top.
MARGINS = 0.42, 0.95, 0.12, 0.35
INK = "#7a8087"
COLOURS = "#4a90c4 #e8862e #4fa64f #dc5555 #a586c8 #9c7366 #d977b5 #35a9b9 #8f8f8f #a3a53a".split()
STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.prop_cycle": f"cycler(color={COLOURS})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 8,
    "font.sans-serif": "DejaVu Sans",
    "legend.columnspacing": 0.8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 0.8,
    "legend.labelspacing": 0.3,
    # The same result must make the same file, and text must stay text.
    "svg.hashsalt": "nightlane",
    "svg.fonttype": "none",
}
UNDATED = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def draw_all(results: Path, pictures: Path, name: str = "*") -> None:
    """Draw the results that have charts."""
    for path in sorted(results.glob(f"{name}.json")):
        if (result := load(path)).charts:
            picture = pictures / f"{path.stem}.svg"
            with matplotlib.rc_context(STYLE):
                figure = _figure(result.charts, result.caption)
                figure.savefig(text := StringIO(), format="svg", transparent=True, metadata=UNDATED)
            picture.write_text(_shorten(text.getvalue()), encoding="utf-8")
            print(f"{picture.name}: {picture.stat().st_size / 1_000:.0f} kB")


def _figure(charts: Sequence[Chart], caption: str) -> Figure:
    width = COLUMNS * COLUMN_INCHES
    height = CAPTION_INCHES + max(each.y + each.height for each in charts) * ROW_INCHES
    figure = Figure(figsize=(width, height))
    left, bottom, right, top = MARGINS
    figure.text(0.1 / width, 1 - 0.1 / height, caption, va="top", linespacing=1.5)
    for chart in charts:
        x, y = chart.x * COLUMN_INCHES, height - CAPTION_INCHES - (chart.y + chart.height) * ROW_INCHES
        if not chart.series:
            figure.text((x + 0.1) / width, (y + 0.45) / height, chart.title, size=13, weight="bold")
            figure.text((x + 0.1) / width, (y + 0.2) / height, chart.unit)
            continue
        size = chart.width * COLUMN_INCHES - left - right, chart.height * ROW_INCHES - bottom - top
        place = ((x + left) / width, (y + bottom) / height, size[0] / width, size[1] / height)
        _draw(figure.add_axes(place), chart)
    return figure


def _draw(axes: Axes, chart: Chart) -> None:
    values = [[math.nan if value is None else value for value in each] for each in chart.series.values()]
    minutes = range(len(values[0]))
    if chart.stacked:
        filled = [[0.0 if math.isnan(value) else value for value in each] for each in values]
        axes.stackplot(minutes, *filled, labels=[*chart.series])
    else:
        for label, line in zip(chart.series, values, strict=True):
            axes.plot(minutes, line, label=label, linewidth=1.2, marker=".", markevery=_isolated(line))
    axes.set_title(chart.title, loc="left", size=9, weight="bold", pad=15)
    axes.text(0, 1.04, chart.unit, transform=axes.transAxes)
    axes.set_xlim(0, minutes[-1])
    axes.set_ylim(0, None if any(value > 0 for each in values for value in each) else 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1_000:g}k" if value >= 1_000 else f"{value:g}")
    axes.grid(axis="y", alpha=0.25)
    axes.tick_params(length=0)
    columns = int(chart.width * COLUMN_INCHES / (0.3 + 0.055 * max(map(len, chart.series))))
    legend = axes.legend(loc="upper left", bbox_to_anchor=(-0.15, -0.12), ncols=max(1, columns))
    for text, line in zip(legend.get_texts(), values, strict=True):
        text.set_alpha(0.6 if all(map(math.isnan, line)) else 1)


def _isolated(line: Sequence[float]) -> list[int]:
    """Minutes that need a marker, because both neighbours have no data and so no line is drawn."""
    known = {minute for minute, value in enumerate(line) if not math.isnan(value)}
    return sorted(minute for minute in known if not {minute - 1, minute + 1} & known)


def _shorten(svg: str) -> str:
    """Halve the file: points with one decimal and no line breaks, no indentation, no rotation by zero."""
    svg = re.sub(r"\s*([ML]) (\d+\.?\d?)\d* (\d+\.?\d?)\d*", r"\1\2 \3", svg)
    return re.sub(r'(?m)^ +| transform="rotate\(-0 [^"]*"', "", svg)
