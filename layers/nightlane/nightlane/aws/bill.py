"""What a batch costs on AWS: the calls it makes, times their list prices.

This is a model: `python -m bench cost` measures the calls of a batch, and a test compares the two.
Times are in seconds.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from nightlane.api_settings import KIB
from nightlane.aws import prices
from nightlane.aws.blobs import PART_BYTES as UPLOAD_PART_BYTES
from nightlane.aws.prices import ITEM_WRITE_UNITS, TRANSACTION
from nightlane.aws.queues import MAX_ENTRIES_PER_SEND
from nightlane.aws.table.items import part_to_text
from nightlane.domain.inference.lines import READ_BYTES
from nightlane.domain.inference.use_report import CHECKPOINTS_PER_REPORT
from nightlane.domain.parts import PARTS_AHEAD
from nightlane.domain.shard import Part, Sample, part_prefix
from nightlane.settings import Settings

FUNCTION_SECONDS = 900
# Assumptions that have not been measured on a real account.
CALL_SECONDS = 0.010
S3_GET_SECONDS = 0.030
# boto3's CPU time: 1.7 ms measured on a full core, and a function with 1,024 MB gets 0.58 of one.
PART_CPU_SECONDS = 0.003
WORKER_START_SECONDS = 0.5
PLANNED_BYTES_PER_SECOND = 50e6
ASSEMBLED_BYTES_PER_SECOND = 10e6
POLL_SECONDS = 30.0
"""How often a client polls its batch."""

# The text of a part has its place, its name and what it took: 1,000 lines of 5 s in 30 s.
PART = Part(
    f"{part_prefix('', 0)}00001-00000.jsonl", 1_000, 4_999, Sample(10**9, 30, 999, 1, 1_000, 5_000_000)
)
PART_ENTRY_BYTES = len(part_to_text("", 0, PART)) + 1
SHARD_ITEM_BYTES = 200
SHARDS_PER_PAGE = 25
# assemble lists the shards three times: for their results, their objects, and to delete them; dispatch once.
# Each invocation of infer lists them, and a lane once more when nothing is left of its own.
SHARD_LISTS = 4
# The input and the output file: both expire, and the sweeper deletes them.
BATCH_FILES = 2

PER_BATCH = Counter(
    {
        "dynamodb:PutItem": 2,
        "dynamodb:UpdateItem": 5,
        "dynamodb:DeleteItem": 1,
        "dynamodb:TransactWriteItems": 3,
        "dynamodb:GetItem": 9,
        "dynamodb:Query": 3,
        "s3:PutObject": 2,
        "s3:GetObject": 3,
        "s3:CopyObject": 1,
        "s3:HeadObject": 1,
        "s3:DeleteObjects": 2,
        "sqs:SendMessage": 3,
        "sqs:ReceiveMessage": 3,
        "sqs:DeleteMessage": 3,
        "sqs:ChangeMessageVisibility": 2,
    }
)
PER_INVOCATION = Counter(
    {
        "dynamodb:GetItem": 2,
        "dynamodb:UpdateItem": 1,
        "dynamodb:Query": 1,
        "s3:GetObject": 1,
        "sqs:ReceiveMessage": 1,
        "sqs:ChangeMessageVisibility": 1,
    }
)
# While a lane is handed over, its worker stores every second how many requests are still in flight, and the
# next one reads it. Assumed: for as long as it waits for them, five times their mean of 5 s.
HANDOVER_SECONDS = 25
# An invocation at its deadline looks for shards that never began, and releases its own, which the next one
# begins again.
PER_HAND_BACK = Counter(
    {
        "dynamodb:UpdateItem": 2 + HANDOVER_SECONDS,
        "dynamodb:DeleteItem": 1,
        "dynamodb:Query": 1 + HANDOVER_SECONDS,
        "sqs:ChangeMessageVisibility": 1,
    }
)
PER_LANE = Counter({"dynamodb:GetItem": 1, "sqs:DeleteMessage": 1})
PER_CHECKPOINT = Counter({"dynamodb:TransactWriteItems": 1, "s3:PutObject": 1, "s3:GetObject": 1})
# In three transactions: planning writes two items, admission three, the end five.
TRANSACTED_ITEMS_PER_BATCH = 10
# A change of `wake_at` deletes one entry of by_wake and puts another. It happens at most six times: planning
# started, planned, admitted, dispatched, closed, assembly started (not if a step starts within the second in
# which it was requested). Besides these: the first put, the last delete, four writes per file, and
# four for the event of its end, which is claimed once.
WAKE_WRITES = 1 + 6 * 2 + 1 + 4 * BATCH_FILES + 4
TENANT_WRITES = 5
INDEX_WRITES = WAKE_WRITES + TENANT_WRITES
# The last write of a batch stores its history, of up to 100 points with 14 bytes each.
HISTORY_UNITS = 2 * TRANSACTION


@dataclass(frozen=True, slots=True)
class ShardRun:
    """The checkpoints of a shard."""

    lines: int
    commits: int

    @property
    def item_bytes(self) -> int:
        return shard_item_bytes(self.lines, self.commits)

    @property
    def write_units(self) -> int:
        """Write units of its beginning, of all checkpoints, and of deleting the item at the end."""
        return 1 + checkpoint_units(self.lines, self.commits) + math.ceil(self.item_bytes / KIB)


@dataclass(frozen=True, slots=True)
class LaneRun:
    """How a lane was run; `seconds` excludes the start of its workers."""

    shards: tuple[ShardRun, ...]
    seconds: float
    invocations: int
    """More than one if it takes longer than a function may run: one hands the lane over to the next."""
    overlap_seconds: float = 0.0

    @property
    def worker_seconds(self) -> float:
        return self.seconds + self.overlap_seconds + self.invocations * WORKER_START_SECONDS


@dataclass(frozen=True)
class Run:
    """A batch from admission to its end; bytes are per line."""

    lines: int
    input_bytes: int
    output_bytes: int
    settings: Settings
    lanes: tuple[LaneRun, ...]

    @property
    def shards(self) -> tuple[ShardRun, ...]:
        return tuple(shard for lane in self.lanes for shard in lane.shards)

    @cached_property
    def invocations(self) -> int:
        """Invocations of `infer`."""
        return sum(lane.invocations for lane in self.lanes)

    @property
    def hand_backs(self) -> int:
        """Invocations that ended at their deadline, so that another continued."""
        return max(0, self.invocations - len(self.lanes))

    @cached_property
    def commits(self) -> int:
        return sum(shard.commits for shard in self.shards)

    @cached_property
    def worker_seconds(self) -> float:
        return sum(lane.worker_seconds for lane in self.lanes)

    @cached_property
    def inference_seconds(self) -> float:
        return max((lane.worker_seconds - lane.overlap_seconds for lane in self.lanes), default=0.0)

    @cached_property
    def assemble_seconds(self) -> float:
        return assemble_seconds(len(self.shards), self.commits, self.lines * self.output_bytes)

    @property
    def seconds(self) -> float:
        """How long the batch holds its admission slot."""
        return self.inference_seconds + self.assemble_seconds


def shard_item_bytes(lines: int, commits: int) -> int:
    """Size of a shard's item, which grows with every checkpoint because it lists the parts."""
    return SHARD_ITEM_BYTES + math.ceil(lines / 8) + commits * PART_ENTRY_BYTES


def checkpoint_units(lines: int, commits: int) -> int:
    """Write units of a shard's checkpoints: each writes the whole shard item and the batch's."""
    shard = sum(math.ceil(shard_item_bytes(lines, number) / KIB) for number in range(1, commits + 1))
    return TRANSACTION * (shard + commits * ITEM_WRITE_UNITS)


def assemble_seconds(shards: int, parts: int, output_bytes: int) -> float:
    """How long `assemble` takes: it waits for the first part of each shard and reads the others ahead."""
    reading = shards * S3_GET_SECONDS + parts * max(S3_GET_SECONDS / PARTS_AHEAD, PART_CPU_SECONDS)
    return reading + output_bytes / ASSEMBLED_BYTES_PER_SECOND


def calls_of(run: Run) -> Counter[str]:
    """The AWS calls of a batch that completes, by name, without its client's polls."""
    settings = run.settings
    calls = Counter(PER_BATCH)
    for unit, number in (
        (PER_LANE, len(run.lanes)),
        (PER_INVOCATION, run.invocations),
        (PER_HAND_BACK, run.hand_backs),
        (PER_CHECKPOINT, run.commits),
    ):
        calls.update({name: count * number for name, count in unit.items()})
    reads = sum(math.ceil(shard.lines * run.input_bytes / READ_BYTES) for shard in run.shards)
    # A shard that is continued is read again from its start: half of it, on average.
    calls["s3:GetObject"] += reads + round(run.hand_backs * reads / max(1, len(run.shards)) / 2)
    inference = run.worker_seconds / max(1, run.invocations) - WORKER_START_SECONDS
    calls["dynamodb:GetItem"] += run.invocations * int(inference / settings.watch_seconds)
    lists = SHARD_LISTS + run.invocations + len(run.lanes)
    calls["dynamodb:Query"] += lists * (len(run.shards) // SHARDS_PER_PAGE + 1)
    reports = int(inference / (CHECKPOINTS_PER_REPORT * settings.checkpoint_seconds))
    calls["dynamodb:UpdateItem"] += len(run.shards) + run.invocations * reports
    calls["dynamodb:DeleteItem"] += len(run.shards)
    renewals = int(inference / (settings.worker_lease_seconds / 3))
    calls["sqs:ChangeMessageVisibility"] += run.invocations * renewals
    calls["sqs:SendMessageBatch"] = math.ceil(len(run.lanes) / MAX_ENTRIES_PER_SEND)
    parts = math.ceil(run.lines * run.output_bytes / UPLOAD_PART_BYTES)
    if parts > 1:
        calls += Counter(
            {"s3:CreateMultipartUpload": 1, "s3:UploadPart": parts, "s3:CompleteMultipartUpload": 1}
        )
    else:
        calls["s3:PutObject"] += 1
    return calls


def write_units(run: Run) -> float:
    """Write units of a batch; every item but a shard's counts as the 2 KB that a batch's may have."""
    calls = calls_of(run)
    items = (
        calls["dynamodb:PutItem"] + calls["dynamodb:UpdateItem"] + TRANSACTED_ITEMS_PER_BATCH * TRANSACTION
    )
    own = items * ITEM_WRITE_UNITS + INDEX_WRITES + HISTORY_UNITS
    return own + sum(shard.write_units for shard in run.shards)


@dataclass(frozen=True, slots=True)
class Cost:
    """One item of the bill: requests to a service, and US dollars."""

    item: str
    requests: float
    dollars: float


def bill(run: Run, memory_mb: int) -> Iterator[Cost]:
    """What a batch costs, by service; `memory_mb` is the memory of `infer`."""
    calls, polls = calls_of(run), run.seconds / POLL_SECONDS
    planning = run.lines * run.input_bytes / PLANNED_BYTES_PER_SECOND
    others = run.assemble_seconds + planning + (3 + polls) * CALL_SECONDS
    infer = prices.lambda_price(run.invocations, run.worker_seconds, memory_mb)
    yield Cost("Lambda infer", run.invocations, infer)
    yield Cost("Lambda, other functions", 5 + polls, prices.lambda_price(5 + polls, others, 1_024))
    yield Cost("API Gateway", 2 + polls, (2 + polls) * prices.API_GATEWAY_REQUEST)
    requests = sum(number for name, number in calls.items() if name.startswith("dynamodb"))
    reads = calls["dynamodb:GetItem"] + calls["dynamodb:Query"] + polls
    stored = write_units(run) * prices.DYNAMODB_WRITE_UNIT + reads * prices.DYNAMODB_READ_UNIT
    yield Cost("DynamoDB", requests + polls, stored)
    for service in ("s3", "sqs"):
        own = {name: number for name, number in calls.items() if name.startswith(service)}
        dollars = sum(prices.call_price(name, number, number) for name, number in own.items())
        yield Cost(service.upper(), sum(own.values()), dollars)
