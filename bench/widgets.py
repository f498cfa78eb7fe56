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
"""A metric's namespace, name and dimensions: CloudWatch tells two apart by any of these."""
Samples = Mapping[Source, Mapping[int, Sequence[float]]]
"""Of each metric the values of each minute."""
Series = Sequence[float]
"""A value for each minute; NaN without data."""


def source(namespace: str, name: str, **dimensions: str) -> Source:
    """The metric with these dimensions."""
    return namespace, name, frozenset(dimensions.items())


def source_of(row: Sequence[str]) -> Source:
    """The metric that a widget's row names: namespace, name, and dimensions by turns."""
    namespace, name, *rest = row
    return source(namespace, name, **dict(zip(rest[::2], rest[1::2], strict=True)))


def widgets_of(template: Json) -> list[Json]:
    """The widgets of a template's one dashboard; resources are named by their logical ids."""
    resources = template["Resources"].values()
    (dashboard,) = [each for each in resources if each["Type"] == "AWS::CloudWatch::Dashboard"]
    separator, pieces = dashboard["Properties"]["DashboardBody"]["Fn::Join"]
    widgets: list[Json] = json.loads(separator.join(map(_text, pieces)))["widgets"]
    return widgets


def _text(piece: Any) -> str:
    """A reference is the logical id, less the hash that the CDK puts behind it."""
    match piece:
        case str():
            return piece
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return name[:-HASH_LENGTH]
    raise ValueError(f"cannot resolve {piece}")


def chart_of(widget: Json, samples: Samples, minutes: int) -> Chart:
    """What a widget shows of the samples."""
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
        options["label"]: computed(options["expression"], known) if not path else known[options["label"]]
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
    """Sum, Average, Maximum or a percentile such as p95, which lies between its neighbours.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
    """
    if name in STATISTICS:
        return float(STATISTICS[name](values))
    # One value is no distribution to `quantiles`.
    some = values if len(values) > 1 else [*values, *values]
    return statistics.quantiles(some, n=100, method="inclusive")[int(name.removeprefix("p")) - 1]


def computed(expression: str, known: Mapping[str, Series]) -> Series:
    """Metric math, minute by minute: arithmetic and FILL. A minute is NaN where an operand is.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    minutes = zip(*known.values(), strict=True)
    # An expression of our own dashboard, not of a stranger.
    return [eval(expression, {"FILL": _filled}, dict(zip(known, each, strict=True))) for each in minutes]  # noqa: S307


def _filled(value: float, filling: float) -> float:
    return filling if math.isnan(value) else value
