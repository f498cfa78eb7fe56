"""The bill of a million requests in closed form."""

import math
from collections import Counter

from bench.scale_model import DAY, ONE_WORKER, Shape, run_of
from nightlane.aws import bill as aws_bill
from nightlane.aws import prices
from nightlane.aws.bill import (
    CALL_SECONDS,
    HISTORY_UNITS,
    INDEX_WRITES,
    PER_BATCH,
    PER_INVOCATION,
    TRANSACTED_ITEMS_PER_BATCH,
    WORKER_START_SECONDS,
    checkpoint_units,
)
from nightlane.aws.prices import ITEM_WRITE_UNITS, TRANSACTION
from nightlane.settings import Settings
from nightlane.worker_memory import worker_memory

BILLED_LINES = 10_000


def bill(shape: Shape) -> dict[str, float]:
    """US dollars per million requests in batches of this shape, by service."""
    million = prices.MILLION / shape.lines
    memory = worker_memory(shape.settings.requests_in_flight_per_worker)
    return {each.item: each.dollars * million for each in aws_bill.bill(run_of(shape), memory)}


def unit_prices(settings: Settings = ONE_WORKER) -> dict[str, float]:
    """US dollars for one unit of each thing that a bill consists of."""
    memory_mb = worker_memory(settings.requests_in_flight_per_worker)
    second = memory_mb / 1_024 * prices.LAMBDA_GB_SECOND_ARM64
    watching = prices.DYNAMODB_READ_UNIT / settings.watch_seconds
    renewing = prices.SQS_REQUEST * 3 / settings.worker_lease_seconds
    commit = checkpoint_units(1_000, 1) * prices.DYNAMODB_WRITE_UNIT
    return {
        f"second of a {memory_mb} MB worker": second + watching + renewing,
        "checkpoint": commit + prices.S3_PUT + prices.S3_GET,
        "invocation of infer": _price(PER_INVOCATION) + prices.LAMBDA_REQUEST + WORKER_START_SECONDS * second,
        "batch": _price(PER_BATCH)
        + (TRANSACTED_ITEMS_PER_BATCH - PER_BATCH["dynamodb:TransactWriteItems"])
        * (ITEM_WRITE_UNITS * TRANSACTION * prices.DYNAMODB_WRITE_UNIT)
        + (INDEX_WRITES + HISTORY_UNITS) * prices.DYNAMODB_WRITE_UNIT
        + 2 * prices.API_GATEWAY_REQUEST,
        "client poll": prices.API_GATEWAY_REQUEST
        + prices.LAMBDA_REQUEST
        + prices.DYNAMODB_READ_UNIT
        + CALL_SECONDS * prices.LAMBDA_GB_SECOND_ARM64,
    }


def _price(calls: Counter[str]) -> float:
    # The same on every Python: from 3.12, `sum` rounds differently.
    return math.fsum(prices.call_price(name, number, number) for name, number in calls.items())


def billed_shape(latency: float, in_flight: int, sigma: float = 1.0) -> Shape:
    """A batch with this many requests in flight per worker, and enough workers to end within half a day."""
    lanes = int(BILLED_LINES * latency / in_flight / (DAY / 2)) + 1
    settings = Settings(
        max_concurrent_requests_per_batch=lanes * in_flight, requests_in_flight_per_worker=in_flight
    )
    return Shape(lines=BILLED_LINES, latency=latency, sigma=sigma, settings=settings)
