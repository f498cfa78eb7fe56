"""What a local run would have been billed for on AWS: invocations, time and calls."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

EVENT_SOURCE = "event source"


class Report(Struct, frozen=True):
    """What one invocation used. `calls` counts AWS calls, `units` the items they wrote or read."""

    milliseconds: float
    peak_rss_kib: int
    calls: dict[str, int]
    units: dict[str, int]


@dataclass(slots=True)
class FunctionUse:
    """The sum over a function's invocations."""

    memory_mb: int
    invocations: int = 0
    errors: int = 0
    milliseconds: float = 0.0
    peak_rss_kib: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)

    def add(self, report: Report) -> None:
        self.milliseconds += report.milliseconds
        self.peak_rss_kib = max(self.peak_rss_kib, report.peak_rss_kib)
        self.calls.update(report.calls)
        self.units.update(report.units)


@dataclass(slots=True)
class Ledger:
    """Use by function; the event sources' own calls stand under `EVENT_SOURCE`."""

    functions: dict[str, FunctionUse] = field(default_factory=dict)

    def of(self, function: str, memory_mb: int = 0) -> FunctionUse:
        return self.functions.setdefault(function, FunctionUse(memory_mb))

    def calls(self) -> Counter[str]:
        """All AWS calls by name, such as `dynamodb:UpdateItem`."""
        return sum((use.calls for use in self.functions.values()), Counter())

    def units(self) -> Counter[str]:
        """Items written or read by name of the call."""
        return sum((use.units for use in self.functions.values()), Counter())

    def clear(self) -> None:
        """Start counting anew."""
        for use in self.functions.values():
            use.invocations = use.errors = use.peak_rss_kib = 0
            use.milliseconds = 0.0
            use.calls.clear()
            use.units.clear()


def items_of(operation: str, parameters: Mapping[str, object]) -> int:
    """How many items a DynamoDB call touches; every other call counts once."""
    match operation, parameters:
        case "TransactWriteItems", {"TransactItems": list(items)}:
            return len(items)
        case "BatchGetItem", {"RequestItems": dict(tables)}:
            return sum(len(table["Keys"]) for table in tables.values())
    return 1
