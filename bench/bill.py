"""The bill in closed form: of a million requests, and of a stack that nobody uses."""

from collections import Counter

from bench.scale_model import DAY, ONE_WORKER, Shape, run_of
from infra import cost, prices
from infra.cost import (
    CALL_SECONDS,
    INDEX_WRITES,
    ITEMS_A_BATCH,
    PER_BATCH,
    PER_INVOCATION,
    SHARD_START_SECONDS,
    checkpoint_units,
)
from infra.prices import ITEM_WRITE_UNITS, TRANSACTION
from nightlane.domain.metrics import Metric
from nightlane.settings import Settings
from tests.rig.ledger import FunctionUse

BILLED_LINES = 10_000
# As infra/deploy/monitoring makes them.
ALARMS = 21
GAUGES = 3
MONTH_MINUTES = 30 * 24 * 60
# Each of six event sources has MaximumConcurrency, so it keeps five pollers of 20 s a receive.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
IDLE_RECEIVES_A_MINUTE = 6 * 5 * 3


def bill(shape: Shape, memory_mb: int) -> dict[str, float]:
    """US dollars for a million requests in batches of this shape, by service."""
    million = prices.MILLION / shape.lines
    return {each.item: each.dollars * million for each in cost.bill(run_of(shape), memory_mb)}


def unit_prices(settings: Settings = ONE_WORKER, memory_mb: int = 512) -> dict[str, float]:
    """US dollars of each of the things that a bill is made of."""
    second = memory_mb / 1_024 * prices.LAMBDA_GB_SECOND_ARM64
    watching = prices.DYNAMODB_READ_UNIT / settings.watch_seconds
    renewing = prices.SQS_REQUEST * 3 / settings.worker_lease_seconds
    commit = checkpoint_units(1_000, 1) * prices.DYNAMODB_WRITE_UNIT
    return {
        "second of a worker of 512 MB": second + watching + renewing,
        "checkpoint": commit + prices.S3_PUT + prices.S3_GET,
        "invocation of infer": _price(PER_INVOCATION) + prices.LAMBDA_REQUEST + SHARD_START_SECONDS * second,
        "batch": _price(PER_BATCH)
        + (ITEMS_A_BATCH - PER_BATCH["dynamodb:TransactWriteItems"])
        * (ITEM_WRITE_UNITS * TRANSACTION * prices.DYNAMODB_WRITE_UNIT)
        + INDEX_WRITES * prices.DYNAMODB_WRITE_UNIT
        + 2 * prices.API_GATEWAY_REQUEST,
        "poll of a client": prices.API_GATEWAY_REQUEST
        + prices.LAMBDA_REQUEST
        + prices.DYNAMODB_READ_UNIT
        + CALL_SECONDS * prices.LAMBDA_GB_SECOND_ARM64,
    }


def _price(calls: Counter[str]) -> float:
    return sum(prices.call_price(name, number, number) for name, number in calls.items())


def billed_shape(latency: float, in_flight: int, sigma: float = 1.0) -> Shape:
    """A batch of workers with so many in flight, and of as many workers as end it within half a day."""
    lanes = int(BILLED_LINES * latency / in_flight / (DAY / 2)) + 1
    settings = Settings(
        max_concurrent_requests_per_batch=lanes * in_flight, requests_in_flight_per_worker=in_flight
    )
    return Shape(lines=BILLED_LINES, latency=latency, sigma=sigma, settings=settings)


def standing(sweep: FunctionUse) -> dict[str, float]:
    """US dollars a month of a stack that nobody uses, without free tiers; `sweep` as it was measured."""
    minutes = MONTH_MINUTES / sweep.invocations
    reads = _price(sweep.calls)
    return {
        "sweep: Lambda": prices.lambda_price(sweep.invocations, sweep.milliseconds / 1e3, sweep.memory_mb)
        * minutes,
        "sweep: DynamoDB": reads * minutes,
        "SQS: empty receives": IDLE_RECEIVES_A_MINUTE * MONTH_MINUTES * prices.SQS_REQUEST,
        "traces of the sweeper": MONTH_MINUTES * prices.XRAY_TRACE,
        f"{ALARMS} alarms": ALARMS * prices.CLOUDWATCH_ALARM,
        "dashboard": prices.CLOUDWATCH_DASHBOARD,
        "secret": prices.SECRET,
        f"{GAUGES} gauges of the sweeper": GAUGES * prices.CLOUDWATCH_METRIC,
        f"{len(Metric) - GAUGES} other metrics, were there batches all month": (len(Metric) - GAUGES)
        * prices.CLOUDWATCH_METRIC,
    }
