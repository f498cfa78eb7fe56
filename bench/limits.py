"""How much of every quota and partition limit a load uses, and which limit is reached first."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.scale_model import ADMITTED_BYTES, DAY, TRANSACTION_SECONDS, Shape, run_of
from nightlane.api_settings import KIB
from nightlane.aws.bill import BATCH_FILES, CALL_SECONDS, POLL_SECONDS, WAKE_WRITES, calls_of, write_units
from nightlane.aws.prices import ITEM_WRITE_UNITS, TRANSACTION
from nightlane.aws.table.items import WAKE_PARTITIONS

LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/"
DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota, or the throughput of one partition."""

    name: str
    maximum: float
    unit: str
    source: str


ACCOUNT = Limit("Lambda concurrency of an account", 1_000, "", LAMBDA + "gettingstarted-limits.html")
EVENT_SOURCE = Limit(
    "MaximumConcurrency of the infer queue (hard)", 1_000, "", LAMBDA + "services-sqs-scaling.html"
)
SLOTS = Limit("`max_concurrent_batches` × lanes, as deployed", 1_000, "", "infra/deploy/deployment.py")
BATCH_ITEM = Limit(
    "batch item: transactions, one at a time",
    0.5 / TRANSACTION_SECONDS,
    "/s",
    DYNAMODB + "transaction-apis.html",
)
ADMISSION_ITEM = replace(BATCH_ITEM, name="ADMISSION item: transactions, one at a time")
ADMISSION_PARTITION = Limit(
    "ADMISSION item: its partition's units", 1, "", DYNAMODB + "bp-partition-key-design.html"
)
BATCH_PARTITION = replace(ADMISSION_PARTITION, name="batch and its shards: their partition's units")
WAITING = replace(ADMISSION_PARTITION, name="WAITING: its partition's units")
BY_WAKE = replace(ADMISSION_PARTITION, name=f"by_wake: units of its {WAKE_PARTITIONS} partitions")
BY_TENANT = replace(ADMISSION_PARTITION, name="by_tenant: units, if all batches belong to one tenant")
ADMISSION_SIZE = Limit("ADMISSION item: size", 400 * KIB, "bytes", DYNAMODB + "Constraints.html")
SHARD_SIZE = replace(ADMISSION_SIZE, name="shard item: size")
TABLE = Limit("table: write units (default quota)", 40_000, "/s", DYNAMODB + "on-demand-capacity-mode.html")
FIFO_WINDOW = Limit(
    "infer queue: messages FIFO looks through", 120_000, "",
    SQS + "avoid-backlog-with-the-same-message-group-id.html",
)  # fmt: skip
FIFO_CALLS = Limit("infer queue: calls/s, one FIFO partition", 300, "/s", SQS + "quotas-messages.html")
S3_WRITES = Limit("S3: writes/s, one prefix `work/`", 3_500, "/s", S3 + "optimizing-performance.html")
S3_READS = replace(S3_WRITES, name="S3: reads/s, one prefix `work/`", maximum=5_500)
GATEWAY = Limit(
    "API Gateway: requests/s", 10_000, "/s",
    "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html",
)  # fmt: skip
ASSEMBLE = Limit("assemble: its timeout", 900, "s", LAMBDA + "gettingstarted-limits.html")
SWEEP = Limit("sweep: its minute", 60, "s", "infra/resources.py")
PARTITION_WRITES, PARTITION_READS = 1_000, 3_000


@dataclass(frozen=True, slots=True)
class Load:
    """Batches of one shape, spread evenly over the day."""

    name: str
    batches_per_day: float
    shape: Shape


def demand(load: Load) -> Iterator[tuple[Limit, float]]:
    """What a load uses of every limit, in the limit's unit."""
    shape, rate = load.shape, load.batches_per_day / DAY
    run = run_of(shape)
    calls, largest_item = calls_of(run), max(shard.item_bytes for shard in run.shards)
    running, workers = rate * run.seconds, rate * run.worker_seconds
    requests = rate * (2 + run.seconds / POLL_SECONDS)
    admitted = (running + 1) * ADMITTED_BYTES
    commits_per_second = run.commits / run.inference_seconds
    yield ACCOUNT, workers + rate * run.assemble_seconds + requests * CALL_SECONDS
    yield EVENT_SOURCE, workers
    yield SLOTS, running * len(shape.settings.lane_capacities())
    yield BATCH_ITEM, commits_per_second
    yield (
        BATCH_PARTITION,
        _units(
            commits_per_second * TRANSACTION * (ITEM_WRITE_UNITS + math.ceil(largest_item / KIB)),
            run.worker_seconds / run.inference_seconds / shape.settings.watch_seconds,
        ),
    )
    yield SHARD_SIZE, largest_item
    yield ADMISSION_ITEM, 2 * rate
    yield ADMISSION_SIZE, admitted
    yield (
        ADMISSION_PARTITION,
        _units(
            2 * rate * TRANSACTION * math.ceil(admitted / KIB), 2 * rate * math.ceil(admitted / (4 * KIB))
        ),
    )
    # A put, a delete, and a repeated delete; plan, assemble and sweep read it.
    yield WAITING, _units(3 * rate * TRANSACTION, 2 * rate + 1 / 60)
    yield BY_WAKE, _units(rate * WAKE_WRITES / WAKE_PARTITIONS, 0)
    yield BY_TENANT, _units(2 * rate, 0)
    yield TABLE, rate * write_units(run)
    yield FIFO_WINDOW, running * len(run.lanes)
    yield FIFO_CALLS, rate * max(calls["sqs:ChangeMessageVisibility"], run.invocations)
    yield S3_WRITES, rate * (2 * calls["s3:PutObject"] + 3)
    yield S3_READS, rate * (calls["s3:GetObject"] + 1)
    yield GATEWAY, requests
    yield ASSEMBLE, run.assemble_seconds
    yield SWEEP, (WAKE_PARTITIONS + 1) * CALL_SECONDS + 60 * rate * _sweep_seconds(shape)


def _units(writes: float, reads: float) -> float:
    """The share of a partition's throughput that these writes and reads per second use."""
    return writes / PARTITION_WRITES + reads / PARTITION_READS


def _sweep_seconds(shape: Shape) -> float:
    """The sweeper's time per batch: to delete its files, and to check it every `stall_seconds`."""
    looks = run_of(shape).seconds / shape.settings.stall_seconds
    return (BATCH_FILES * 4 + int(looks) * 3) * CALL_SECONDS


def max_batches_per_day(limit: Limit, shape: Shape) -> float:
    """The load at which a limit is reached; infinity if it does not depend on the load."""
    low, high = 0.0, 1e12
    if dict(demand(Load("", high, shape)))[limit] < limit.maximum:
        return math.inf
    for _ in range(100):
        middle = (low + high) / 2
        reached = dict(demand(Load("", middle, shape)))[limit] >= limit.maximum
        low, high = (low, middle) if reached else (middle, high)
    return high
