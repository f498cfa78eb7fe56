"""A CloudWatch dashboard, read from a CloudFormation template and evaluated over samples.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import ast
import json
import operator
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

HASH_LENGTH = 8
PERIOD = 60
STATISTICS: Mapping[str, Any] = {"Sum": sum, "Average": statistics.fmean, "Maximum": max}
OPERATORS = {ast.Add: operator.add, ast.Mult: operator.mul, ast.Div: operator.truediv}
Values = dict[int, float]
"""Minute → value; a minute without data is missing."""


@dataclass(frozen=True, slots=True)
class Source:
    """A metric's identity: CloudWatch tells two apart by any of these."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, namespace: str, name: str, **dimensions: str) -> Self:
        return cls(namespace, name, frozenset(dimensions.items()))


Samples = Mapping[Source, Mapping[int, Sequence[float]]]
"""Of each metric the values of each minute."""


@dataclass(frozen=True, slots=True)
class Line:
    """A source or an expression; `name` is how expressions call it. Without a label it is not drawn."""

    name: str
    label: str
    statistic: str
    source: Source | None
    expression: str


@dataclass(frozen=True, slots=True)
class Widget:
    """A graph, or a text if it has no lines; place and size are in the grid's columns and rows."""

    x: int
    y: int
    width: int
    height: int
    title: str
    axis: str
    stacked: bool
    lines: tuple[Line, ...]


def widgets_of(template: Mapping[str, Any]) -> tuple[Widget, ...]:
    """The widgets of the one dashboard of a template. Raises ValueError for what is not read here."""
    resources = template["Resources"].values()
    (dashboard,) = [each for each in resources if each["Type"] == "AWS::CloudWatch::Dashboard"]
    body = json.loads(resolved(dashboard["Properties"]["DashboardBody"]))
    return tuple(map(_widget, body["widgets"]))


def resolved(value: Any) -> str:
    """Text with its references replaced by logical ids, less the hash that the CDK puts behind them."""
    match value:
        case str():
            return value
        case {"Fn::Join": [str(separator), list(pieces)]}:
            return separator.join(map(resolved, pieces))
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return name if name.startswith("AWS::") else name[:-HASH_LENGTH]
    raise ValueError(f"cannot resolve {value}")


def _widget(body: Mapping[str, Any]) -> Widget:
    properties = body["properties"]
    x, y, width, height = (body[name] for name in ("x", "y", "width", "height"))
    title = properties.get("title") or properties["markdown"]
    axis = properties.get("yAxis", {}).get("left", {}).get("label", "")
    lines = tuple(_line(*row) for row in properties.get("metrics", ()))
    return Widget(x, y, width, height, title, axis, properties.get("stacked", False), lines)


def _line(*row: Any) -> Line:
    *names, options = row
    if options["period"] != PERIOD:
        raise ValueError(f"not of minutes: {row}")
    label = options["label"] if options.get("visible", True) else ""
    statistic, expression = options.get("stat", "Average"), options.get("expression", "")
    source = None
    if names:
        namespace, name, *rest = names
        source = Source.of(namespace, name, **dict(zip(rest[::2], rest[1::2], strict=True)))
    return Line(options.get("id", label), label, statistic, source, expression)


def evaluated(widget: Widget, samples: Samples, minutes: int) -> dict[str, Values]:
    """What a widget shows of the samples: label → values, in the widget's order."""
    known = {
        line.name: {
            minute: statistic_of(line.statistic, values)
            for minute, values in sorted(samples.get(line.source, {}).items())
        }
        for line in widget.lines
        if line.source
    }
    return {
        line.label: computed(line.expression, known, minutes) if line.expression else known[line.name]
        for line in widget.lines
        if line.label
    }


def statistic_of(name: str, values: Sequence[float]) -> float:
    """Sum, Average, Maximum or a percentile such as p95, which lies between its neighbours.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
    """
    if name in STATISTICS:
        return float(STATISTICS[name](values))
    # One value is no distribution to `quantiles`.
    some = values if len(values) > 1 else [*values, *values]
    return statistics.quantiles(some, n=100, method="inclusive")[int(name.removeprefix("p")) - 1]


def computed(expression: str, known: Mapping[str, Values], minutes: int) -> Values:
    """Metric math over + * / and FILL; a minute is missing where an operand is. Raises ValueError for more.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """

    def of(node: ast.expr) -> Values:
        match node:
            case ast.Constant(value=int() | float() as value):
                return dict.fromkeys(range(minutes), float(value))
            case ast.Name(id=name):
                return known[name]
            case ast.Call(func=ast.Name(id="FILL"), args=[series, ast.Constant() as filling]):
                return of(filling) | of(series)
            case ast.BinOp(op=ast.Add() | ast.Mult() | ast.Div() as sign):
                left, right = of(node.left), of(node.right)
                both = [minute for minute in left if minute in right]
                return {minute: OPERATORS[type(sign)](left[minute], right[minute]) for minute in both}
        raise ValueError(f"cannot compute {ast.unparse(node)}")

    return of(ast.parse(expression, mode="eval").body)
