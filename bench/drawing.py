"""An evaluated dashboard as one SVG, on CloudWatch's grid of 24 columns."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from xml.sax.saxutils import escape

from bench.widgets import Values, Widget

COLUMNS, COLUMN, ROW, GAP, HEADER = 24, 52, 42, 5, 74
LEFT, TOP, RIGHT = 46, 54, 14
LEGEND_ROW, AXIS_ROW, CHARACTER = 15, 24, 6.4
TICKS = 4
FONTS = "Helvetica Neue, Helvetica, Arial, DejaVu Sans, sans-serif"
INK, FAINT, GREY, GRID = "#16191f", "#687078", "#9aa5a6", "#e4e8eb"
COLOURS = "#4a90c4 #ff9933 #4fb04f #dc5555 #a586c8 #9c6f66 #e58fcb #3cb4c6 #8f8f8f #b3b53d".split()
BOLD, END, MIDDLE = 'font-weight="bold"', 'text-anchor="end"', 'text-anchor="middle"'


def draw(
    title: str, caption: Sequence[str], shown: Sequence[tuple[Widget, Mapping[str, Values]]], minutes: int
) -> str:
    """The SVG of all widgets; `caption` is lines of text below the title."""
    width, height = COLUMNS * COLUMN, HEADER + max(each.y + each.height for each, _ in shown) * ROW + GAP
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONTS}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#f2f3f3"/>',
        _text(12, 23, title, size=17, style=BOLD),
        *(_text(12, 40 + 14 * number, line, FAINT) for number, line in enumerate(caption)),
    ]
    for widget, series in shown:
        pieces.append(f'<g transform="translate({widget.x * COLUMN} {HEADER + widget.y * ROW})">')
        pieces += Graph(widget, series, minutes).pieces() if widget.lines else _heading(widget)
        pieces.append("</g>")
    return "\n".join([*pieces, "</svg>\n"])


def _heading(widget: Widget) -> Iterator[str]:
    title, _, text = widget.title.removeprefix("## ").partition("\n")
    yield _text(12, widget.height * ROW / 2, title, size=17, style=BOLD)
    yield _text(12, widget.height * ROW / 2 + 20, text, FAINT, size=12)


class Graph:
    """One graph: title, unit, axes, lines or stacked areas, legend."""

    def __init__(self, widget: Widget, series: Mapping[str, Values], minutes: int) -> None:
        self._widget, self._series, self._minutes = widget, series, minutes
        self._width, self._height = widget.width * COLUMN, widget.height * ROW
        self._legend = list(_legend(series, self._width - 2 * RIGHT))
        self._bottom = self._height - GAP - AXIS_ROW - LEGEND_ROW * (1 + self._legend[-1][2])
        self._layers = _stacked(series.values(), minutes) if widget.stacked else list(series.values())
        most = max((value for layer in self._layers for value in layer.values()), default=0)
        self._step = _step(most)
        self._most = self._step * max(1, math.ceil(most / self._step - 1e-9))

    def pieces(self) -> Iterator[str]:
        """The SVG of it, from the back to the front."""
        size = f'width="{self._width - 2 * GAP}" height="{self._height - 2 * GAP}"'
        yield f'<rect x="{GAP}" y="{GAP}" {size} rx="4" fill="#fff" stroke="#d5dbdb"/>'
        yield _text(RIGHT, 24, self._widget.title, size=13, style=BOLD)
        yield _text(RIGHT, 39, self._widget.axis, FAINT)
        yield from self._axes()
        drawn = [each for each in zip(self._series.values(), self._layers, COLOURS, strict=False) if each[0]]
        for _, layer, colour in reversed(drawn):
            yield from self._area(layer, colour) if self._widget.stacked else self._line(layer, colour)
        yield from self._names()

    def _axes(self) -> Iterator[str]:
        for number in range(round(self._most / self._step) + 1):
            y = self._y(number * self._step)
            path, colour = f"M{LEFT} {y:.1f}H{self._width - RIGHT}", GRID if number else GREY
            yield f'<path d="{path}" stroke="{colour}"/>'
            yield _text(LEFT - 5, y + 4, _short(number * self._step, self._step), FAINT, style=END)
        for minute in range(0, self._minutes, 10):
            yield _text(self._x(minute), self._bottom + 14, str(minute), FAINT, size=10, style=MIDDLE)
        if not any(self._series.values()):
            middle = (LEFT + self._width - RIGHT) / 2
            yield _text(middle, (TOP + self._bottom) / 2, "No data", FAINT, size=13, style=MIDDLE)

    def _x(self, minute: int) -> float:
        return LEFT + (self._width - RIGHT - LEFT) * minute / max(1, self._minutes - 1)

    def _y(self, value: float) -> float:
        return self._bottom - (self._bottom - TOP) * value / self._most

    def _area(self, values: Values, colour: str) -> Iterator[str]:
        """Down to the axis: the layers below it are drawn over it."""
        points = "L".join(f"{self._x(minute):.1f} {self._y(value):.1f}" for minute, value in values.items())
        yield f'<path d="M{points}V{self._bottom}H{LEFT}Z" fill="{colour}"/>'

    def _line(self, values: Values, colour: str) -> Iterator[str]:
        """Minutes side by side are joined; one alone is a dot."""
        path = ""
        for minute, value in values.items():
            x, y = f"{self._x(minute):.1f}", f"{self._y(value):.1f}"
            path += f"{'L' if minute - 1 in values else 'M'}{x} {y}"
            if not {minute - 1, minute + 1} & values.keys():
                yield f'<circle cx="{x}" cy="{y}" r="2.4" fill="{colour}"/>'
        yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'

    def _names(self) -> Iterator[str]:
        for (label, x, row), colour in zip(self._legend, COLOURS, strict=False):
            y = self._bottom + AXIS_ROW + 6 + LEGEND_ROW * row
            fill, stroke, ink = (colour, colour, INK) if self._series[label] else ("#fff", GREY, GREY)
            place = f'x="{RIGHT + x:.0f}" y="{y - 8}" width="9" height="9"'
            yield f'<rect {place} fill="{fill}" stroke="{stroke}"/>'
            yield _text(RIGHT + x + 13, y, label, ink)


def _stacked(series: Iterable[Values], minutes: int) -> list[Values]:
    """Each series on top of those before it; where it has no data it is flat."""
    filled = (dict.fromkeys(range(minutes), 0.0) | values for values in series)
    return list(accumulate(filled, lambda below, above: {each: below[each] + above[each] for each in above}))


def _legend(labels: Iterable[str], width: float) -> Iterator[tuple[str, float, int]]:
    """Labels with their places: from the left, and the row."""
    x, row = 0.0, 0
    for label in labels:
        advance = 22 + len(label) * CHARACTER
        if x and x + advance > width:
            x, row = 0.0, row + 1
        yield label, x, row
        x += advance


def _step(most: float) -> float:
    """A round number of which at most four reach the top."""
    power = 10.0 ** math.floor(math.log10(most / TICKS)) if most > 0 else 1.0
    return next(power * times for times in (1, 2, 5, 10) if power * times * TICKS >= most * 0.999)


def _short(value: float, step: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}" if value else "0"


def _text(x: float, y: float, text: str, fill: str = INK, *, size: int = 11, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" {style}>{escape(text)}</text>'
