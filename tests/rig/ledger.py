"""What AWS would bill for a local run, and what the dashboard would show of it."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct, json

from nightlane.domain.metrics import Metric

EVENT_SOURCE = "event source"
# Per function. One point has up to a hundred values; most have one.
MAX_POINTS = 20_000
EMBEDDED_METRICS = '{"_aws":'


class Point(Struct, frozen=True):
    """Values of a metric that were published together; `at` is in seconds since 1970."""

    metric: Metric
    at: float
    values: list[float]
    dimensions: dict[str, str]


def points_of(line: str) -> list[Point]:
    """The data points in a line of the embedded metric format; empty for any other line.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    if not line.startswith(EMBEDDED_METRICS):
        return []
    document = json.decode(line)
    at = document["_aws"]["Timestamp"] / 1000
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    dimensions = {name: document[name] for name in directive["Dimensions"][0]}
    names = [each["Name"] for each in directive["Metrics"]]
    return [Point(Metric(name), at, document[name], dimensions) for name in names]


class Report(Struct, frozen=True):
    """What one invocation used: `calls` counts AWS calls, `units` the items they wrote or read."""

    milliseconds: float
    peak_rss_kib: int
    calls: dict[str, int]
    units: dict[str, int]
    points: list[Point] = []


@dataclass(slots=True)
class FunctionUse:
    """What all invocations of a function used together."""

    memory_mb: int
    invocations: int = 0
    ended: int = 0
    errors: int = 0
    milliseconds: float = 0.0
    peak_rss_kib: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=MAX_POINTS))

    def add(self, report: Report) -> None:
        """Add an invocation that has ended."""
        self.ended += 1
        self.milliseconds += report.milliseconds
        self.peak_rss_kib = max(self.peak_rss_kib, report.peak_rss_kib)
        self.calls.update(report.calls)
        self.units.update(report.units)
        self.points.extend(report.points)


@dataclass(slots=True)
class Ledger:
    """What each function used; the event sources' calls are under `EVENT_SOURCE`."""

    functions: dict[str, FunctionUse] = field(default_factory=dict)

    def of(self, function: str, memory_mb: int = 0) -> FunctionUse:
        return self.functions.setdefault(function, FunctionUse(memory_mb))

    def calls(self) -> Counter[str]:
        """All AWS calls by name, such as `dynamodb:UpdateItem`."""
        return sum((use.calls for use in self.functions.values()), Counter())

    def units(self) -> Counter[str]:
        """Items written or read, by name of the call."""
        return sum((use.units for use in self.functions.values()), Counter())

    def points(self) -> list[Point]:
        """The functions' metrics in order of time; after a long run only the newest."""
        points = [point for use in tuple(self.functions.values()) for point in tuple(use.points)]
        return sorted(points, key=lambda point: point.at)

    def clear(self) -> None:
        """Reset all counts."""
        for use in self.functions.values():
            use.invocations = use.ended = use.errors = use.peak_rss_kib = 0
            use.milliseconds = 0.0
            use.calls.clear()
            use.units.clear()
            use.points.clear()


def items_of(operation: str, parameters: Mapping[str, object]) -> int:
    """How many items a DynamoDB call touches; every other call counts once."""
    match operation, parameters:
        case "TransactWriteItems", {"TransactItems": list(items)}:
            return len(items)
        case "BatchGetItem", {"RequestItems": dict(tables)}:
            return sum(len(table["Keys"]) for table in tables.values())
    return 1
