"""Draw the charts of saved results, without running a benchmark.

The background is transparent. Colours are those of light mode; a style sheet in the picture replaces each of
them if the reader's browser prefers a dark one.
"""

import math
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from bench.result import Chart, Result, load

COLUMN_INCHES, ROW_INCHES, CAPTION_LINE_INCHES, COMMAND_INCHES = 0.5, 0.4, 0.17, 0.2
# Space around a plot for its title, ticks and legend, in inches: left, bottom, right, top.
MARGINS = 0.42, 0.95, 0.12, 0.35
X_UNIT_INCHES, LEGEND_INCHES = 0.18, 0.15
# GitHub's own colours, so that a picture looks like the page around it.
INK, GRID = "#57606a", "#afb8c1"
COLOURS = "#0969da #bc4c00 #1a7f37 #cf222e #8250df #7d5a3c #bf3989 #1b7c83 #6e7781 #7a7300".split()
DARK_INK, DARK_GRID = "#9ea7b3", "#6e7681"
DARK_COLOURS = "#58a6ff #f0883e #3fb950 #ff7b72 #bc8cff #c69c7c #f778ba #39c5cf #8b949e #d3c846".split()
DARK = dict(zip([INK, GRID, *COLOURS], [DARK_INK, DARK_GRID, *DARK_COLOURS], strict=True))
STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.axisbelow": True,
    "axes.prop_cycle": f"cycler(color={COLOURS})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 8,
    "font.sans-serif": "DejaVu Sans",
    "grid.alpha": 0.4,
    "grid.color": GRID,
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
BARS_WIDTH = 0.8


def draw_all(results: Path, pictures: Path, name: str = "*") -> None:
    """Draw the results that have charts."""
    pictures.mkdir(parents=True, exist_ok=True)
    for path in sorted(results.glob(f"{name}.json")):
        if (result := load(path)).charts:
            picture = pictures / f"{path.stem}.svg"
            with matplotlib.rc_context(STYLE):
                metadata = {**UNDATED, "Title": path.stem, "Description": result.command}
                _figure(result).savefig(text := StringIO(), format="svg", transparent=True, metadata=metadata)
            picture.write_text(_shorten(_with_dark_mode(text.getvalue())), encoding="utf-8")
            print(f"{picture.name}: {picture.stat().st_size / 1_000:.0f} kB")


def _figure(result: Result) -> Figure:
    width = max(each.x + each.width for each in result.charts) * COLUMN_INCHES
    caption = 0.25 + CAPTION_LINE_INCHES * len(result.caption.splitlines())
    below = max(each.y + each.height for each in result.charts) * ROW_INCHES
    height = caption + below + COMMAND_INCHES
    figure = Figure(figsize=(width, height))
    left, bottom, right, _ = MARGINS
    figure.text(0.1 / width, 1 - 0.1 / height, result.caption, va="top", linespacing=1.5)
    figure.text(0.1 / width, 0.07 / height, result.command, family="monospace", size=7)
    for chart in result.charts:
        x, y = chart.x * COLUMN_INCHES, height - caption - (chart.y + chart.height) * ROW_INCHES
        if not chart.series:
            figure.text((x + 0.1) / width, (y + 0.45) / height, chart.title, size=13, weight="bold")
            figure.text((x + 0.1) / width, (y + 0.2) / height, chart.unit)
            continue
        size = chart.width * COLUMN_INCHES - left - right, _plot_height(chart)
        place = ((x + left) / width, (y + bottom) / height, size[0] / width, size[1] / height)
        _draw(figure.add_axes(place), chart)
    return figure


def _draw(axes: Axes, chart: Chart) -> None:
    values = [[math.nan if value is None else value for value in each] for each in chart.series.values()]
    if chart.logarithmic:
        axes.set_yscale("log")
    if isinstance(next(iter(chart.points), None), str):
        _draw_bars(axes, chart, values)
    else:
        _draw_lines(axes, chart, values)
    axes.set_title(chart.title, loc="left", size=9, weight="bold", pad=15)
    axes.annotate(chart.unit, (0, 1), (0, 3), "axes fraction", "offset points")
    if chart.logarithmic:
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, None if any(value > 0 for each in values for value in each) else 1)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(_thousands)
    axes.set_xlabel(chart.x_unit, loc="left", size=7)
    axes.grid(axis="y")
    axes.tick_params(length=0, which="both")
    columns = int(chart.width * COLUMN_INCHES / (0.3 + 0.055 * max(map(len, chart.series))))
    below = (LEGEND_INCHES + X_UNIT_INCHES * bool(chart.x_unit)) / _plot_height(chart)
    legend = axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -below), ncols=max(1, columns))
    for text, line in zip(legend.get_texts(), values, strict=True):
        text.set_alpha(0.6 if all(map(math.isnan, line)) else 1)


def _plot_height(chart: Chart) -> float:
    return chart.height * ROW_INCHES - MARGINS[1] - MARGINS[3]


def _draw_lines(axes: Axes, chart: Chart, values: Sequence[Sequence[float]]) -> None:
    points = [float(each) for each in chart.points] or [*map(float, range(len(values[0])))]
    if chart.stacked:
        filled = [[0.0 if math.isnan(value) else value for value in each] for each in values]
        axes.stackplot(points, *filled, labels=[*chart.series])
    else:
        for label, line in zip(chart.series, values, strict=True):
            markers = [*range(len(points))] if chart.points else _isolated(line)
            axes.plot(points, line, label=label, linewidth=1.2, marker=".", markevery=markers, clip_on=False)
    if chart.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(_thousands)
    else:
        axes.set_xlim(points[0], points[-1])
    if chart.points:
        axes.set_xticks(points)


def _draw_bars(axes: Axes, chart: Chart, values: Sequence[Sequence[float]]) -> None:
    width = BARS_WIDTH / len(values)
    for number, (label, heights) in enumerate(zip(chart.series, values, strict=True)):
        offset = (number - (len(values) - 1) / 2) * width
        middles = [point + offset for point in range(len(chart.points))]
        # Without data there is a bar of no height, so that its label has a place.
        known = [0.0 if math.isnan(value) else value for value in heights]
        bars = axes.bar(middles, known, width * 0.9, label=label)
        axes.bar_label(bars, [_shown(value) for value in heights], size=7, padding=1)
    axes.set_xticks(range(len(chart.points)), [*map(str, chart.points)])
    axes.set_xlim(-0.5, len(chart.points) - 0.5)
    axes.margins(y=0.12)


def _shown(value: float) -> str:
    if math.isnan(value):
        return "no data"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _thousands(value: float, _: object = None) -> str:
    return f"{value / 1_000:g}k" if value >= 1_000 else f"{value:g}"


def _isolated(line: Sequence[float]) -> list[int]:
    """Minutes that need a marker, because both neighbours have no data and so no line is drawn."""
    known = {minute for minute, value in enumerate(line) if not math.isnan(value)}
    return sorted(minute for minute in known if not {minute - 1, minute + 1} & known)


def _with_dark_mode(svg: str) -> str:
    """Add rules that replace each colour in dark mode. Renderers without media queries ignore them."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark} !important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
        if f"{what}: {light}" in svg
    )
    return svg.replace("</style>", f"@media (prefers-color-scheme:dark){{{rules}}}</style>", 1)


def _shorten(svg: str) -> str:
    """Halve the file: points with one decimal and no line breaks, no indentation, no rotation by zero."""
    svg = re.sub(r"\s*([ML]) (\d+\.?\d?)\d* (\d+\.?\d?)\d*", r"\1\2 \3", svg)
    return re.sub(r'(?m)^ +| transform="rotate\(-0 [^"]*"', "", svg)
