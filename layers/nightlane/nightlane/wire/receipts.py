"""The receipt object, an extension."""

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

# Pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

from nightlane.domain.batch import BatchStatus
from nightlane.domain.receipts import Receipt as DomainReceipt
from nightlane.wire import objects
from nightlane.wire.responses import usage_object

PRICES = "list prices in US dollars, us-east-1, September 2026"


class Seconds(TypedDict):
    """`in_flight` is the sum over all requests, `worker` over all invocations of the worker."""

    waiting: int
    running: int
    in_flight: float
    worker: float


class Requests(TypedDict):
    """Requests to the inference endpoint, including those that failed or were refused."""

    sent: int
    refused: int


class Work(TypedDict):
    """How the batch was run; bytes are of its request lines and its result lines."""

    lanes: int
    shards: int
    checkpoints: int
    invocations: int
    input_bytes: int
    output_bytes: int


class ServiceCost(TypedDict):
    service: str
    requests: float
    dollars: float


class Bill(TypedDict):
    """What AWS bills, with a client that polls every half minute; calls by service and operation."""

    is_estimate: bool
    prices: str
    calls: Mapping[str, int]
    services: list[ServiceCost]
    dollars: float


class Receipt(TypedDict):
    """What a batch took, an extension. It is final once the batch has ended."""

    object: Literal["batch.receipt"]
    batch_id: str
    status: BatchStatus
    is_final: bool
    lines: objects.Lines
    usage: objects.Usage
    estimated_prompt_tokens: int
    seconds: Seconds
    requests: Requests
    work: Work
    aws: Bill


class Cost(Protocol):
    """What one service costs."""

    @property
    def item(self) -> str: ...

    @property
    def requests(self) -> float: ...

    @property
    def dollars(self) -> float: ...


def service_costs(costs: Iterable[Cost]) -> list[ServiceCost]:
    return [
        {"service": each.item, "requests": round(each.requests, 1), "dollars": round(each.dollars, 9)}
        for each in costs
    ]


def receipt_object(receipt: DomainReceipt, calls: Mapping[str, int], costs: Iterable[Cost]) -> Receipt:
    batch, tally, size = receipt.batch, receipt.batch.tally, receipt.batch.size
    services = service_costs(costs)
    return {
        "object": "batch.receipt",
        "batch_id": batch.id,
        "status": batch.shown_status,
        "is_final": batch.status.is_terminal,
        "lines": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
            "unfinished": batch.total - batch.completed - batch.failed,
        },
        "usage": usage_object(batch.usage),
        "estimated_prompt_tokens": size.prompt_tokens,
        "seconds": {
            "waiting": receipt.waiting_seconds,
            "running": receipt.running_seconds,
            "in_flight": tally.in_flight_ms / 1_000,
            "worker": tally.worker_ms / 1_000,
        },
        "requests": {"sent": tally.requests, "refused": tally.refusals},
        "work": {
            "lanes": size.lanes,
            "shards": batch.shards_total,
            "checkpoints": tally.checkpoints,
            "invocations": tally.invocations,
            "input_bytes": size.input_bytes,
            "output_bytes": tally.output_bytes,
        },
        "aws": {
            "is_estimate": receipt.is_estimate,
            "prices": PRICES,
            "calls": calls,
            "services": services,
            "dollars": round(sum(each["dollars"] for each in services), 9),
        },
    }
