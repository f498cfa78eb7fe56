"""The deployed CloudWatch dashboard, evaluated over samples.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.result import Chart

Json = dict[str, Any]
HASH_LENGTH = 8
STATISTICS: Mapping[str, Any] = {"Sum": sum, "Average": statistics.fmean, "Maximum": max}
Source = tuple[str, str, frozenset[tuple[str, str]]]
"""A metric's namespace, name and dimensions, which identify it in CloudWatch."""
Samples = Mapping[Source, Mapping[int, Sequence[float]]]
"""Metric → minute → values."""
Series = Sequence[float]
"""One value per minute; NaN if there is no data."""


def source(namespace: str, name: str, **dimensions: str) -> Source:
    """The metric with these dimensions."""
    return namespace, name, frozenset(dimensions.items())


def source_of(row: Sequence[str]) -> Source:
    """The metric of a widget's row: namespace, name, then names and values of dimensions in turn."""
    namespace, name, *rest = row
    return source(namespace, name, **dict(zip(rest[::2], rest[1::2], strict=True)))


def widgets_of(template: Json) -> list[Json]:
    """The widgets of the only dashboard in a template; resources are named by their logical ids."""
    resources = template["Resources"].values()
    (dashboard,) = [each for each in resources if each["Type"] == "AWS::CloudWatch::Dashboard"]
    separator, pieces = dashboard["Properties"]["DashboardBody"]["Fn::Join"]
    widgets: list[Json] = json.loads(separator.join(map(_text, pieces)))["widgets"]
    return widgets


def _text(piece: Any) -> str:
    """The text of a piece; a reference is its logical id without the hash that the CDK appends."""
    match piece:
        case str():
            return piece
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return name[:-HASH_LENGTH]
    raise ValueError(f"cannot resolve {piece}")


def chart_of(widget: Json, samples: Samples, minutes: int) -> Chart:
    """The chart of a widget over the samples."""
    x, y, width, height = (widget[name] for name in ("x", "y", "width", "height"))
    shown = widget["properties"]
    if "markdown" in shown:
        title, _, text = shown["markdown"].removeprefix("## ").partition("\n")
        return Chart(title, text, x, y, width, height)
    rows = [(path, options) for *path, options in shown["metrics"]]
    known = {
        options.get("id") or options["label"]: _series(
            samples.get(source_of(path), {}), options.get("stat", "Average"), minutes
        )
        for path, options in rows
        if path
    }
    series = {
        options["label"]: evaluate(options["expression"], known) if not path else known[options["label"]]
        for path, options in rows
        if options.get("visible", True)
    }
    drawn = {label: [None if math.isnan(each) else each for each in line] for label, line in series.items()}
    unit = shown["yAxis"]["left"]["label"]
    return Chart(shown["title"], unit, x, y, width, height, shown["stacked"], drawn)


def _series(values: Mapping[int, Sequence[float]], statistic: str, minutes: int) -> Series:
    return [
        statistic_of(statistic, values[minute]) if minute in values else math.nan for minute in range(minutes)
    ]


def statistic_of(name: str, values: Sequence[float]) -> float:
    """Sum, Average, Maximum, or a percentile such as p95, interpolated between neighbours.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
    """
    if name in STATISTICS:
        return float(STATISTICS[name](values))
    # `quantiles` needs at least two values.
    some = values if len(values) > 1 else [*values, *values]
    return statistics.quantiles(some, n=100, method="inclusive")[int(name.removeprefix("p")) - 1]


def evaluate(expression: str, known: Mapping[str, Series]) -> Series:
    """Evaluate metric math minute by minute: arithmetic and FILL. A minute is NaN if an operand is.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    minutes = zip(*known.values(), strict=True)
    # The expression comes from our own dashboard, so `eval` is safe.
    return [eval(expression, {"FILL": _fill}, dict(zip(known, each, strict=True))) for each in minutes]  # noqa: S307


def _fill(value: float, default: float) -> float:
    return default if math.isnan(value) else value
