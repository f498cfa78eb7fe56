"""The time a batch takes and the AWS calls it makes, in closed form.

Times in seconds. Nothing here is measured: `bench.scale` holds it against a simulation and real runs.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from infra.prices import ITEM_WRITE_UNITS, TRANSACTION
from nightlane.aws.blobs import PART_BYTES as UPLOAD_PART_BYTES
from nightlane.aws.queues import ENTRIES_A_SEND
from nightlane.aws.table.items import part_to_text
from nightlane.domain.inference.lines import READ_BYTES
from nightlane.domain.inference.supervisor import SLOWEST_FACTOR, WIND_DOWN_SECONDS
from nightlane.domain.parts import PARTS_AHEAD
from nightlane.domain.planning import Lines, cut_shards
from nightlane.domain.shard import Part
from nightlane.settings import KIB, Settings

DAY = 86_400
FUNCTION_SECONDS = 900

# Assumptions, to be checked on a real account.
TRANSACTION_SECONDS = 0.010
CALL_SECONDS = 0.010
S3_GET_SECONDS = 0.030
# Processor time of boto3: 1.7 ms measured on a whole core, of which 1,024 MB have 0.58.
PART_CPU_SECONDS = 0.003
SHARD_START_SECONDS = 0.5
ASSEMBLED_BYTES_A_SECOND = 10e6
POLL_SECONDS = 30.0
"""How often a client asks for its batch."""

BATCH_ID = "batch_" + "0" * 32
# A set's element takes its bytes and one more: …/developerguide/CapacityUnitCalculations.html
ADMITTED_BYTES = len(BATCH_ID) + 1
PART_KEY = f"work/{BATCH_ID}/parts/00000/00001-00000.jsonl"
PART_ENTRY_BYTES = len(part_to_text(Part(PART_KEY, 1_000, 4_999))) + 1
SHARD_ITEM_BYTES = 200
SHARDS_A_PAGE = 25
# assemble lists the shards for their results, for their objects and to delete them.
SHARD_LISTS = 3
# The input and the output: both expire, and the sweeper removes them.
BATCH_FILES = 2

PER_BATCH = Counter(
    {
        "dynamodb:PutItem": 2,
        "dynamodb:UpdateItem": 4,
        "dynamodb:TransactWriteItems": 3,
        "dynamodb:GetItem": 7,
        "dynamodb:Query": 3,
        "s3:PutObject": 2,
        "s3:GetObject": 3,
        "s3:CopyObject": 1,
        "s3:HeadObject": 1,
        "s3:DeleteObjects": 2,
        "sqs:SendMessage": 2,
        "sqs:ReceiveMessage": 2,
        "sqs:DeleteMessage": 2,
        "sqs:ChangeMessageVisibility": 2,
    }
)
PER_INVOCATION = Counter(
    {
        "dynamodb:UpdateItem": 1,
        "dynamodb:GetItem": 3,
        "sqs:ReceiveMessage": 1,
        "sqs:DeleteMessage": 1,
        "sqs:ChangeMessageVisibility": 1,
    }
)
PER_CHECKPOINT = Counter({"dynamodb:TransactWriteItems": 1, "s3:PutObject": 1, "s3:GetObject": 1})
# In the transactions of a batch: plan 2, admit 3, finish 4.
ITEMS_A_BATCH = 9
# by_wake: a first put, six moves (a delete and a put), a last delete, four a file; by_tenant: five.
# The moves are: planning begun, planned, admitted, dispatched, closed, assembly begun. A step that begins
# within the second in which it was asked for moves nothing: they are six at most.
WAKE_WRITES = 1 + 6 * 2 + 1 + 4 * BATCH_FILES
INDEX_WRITES = WAKE_WRITES + 5


ONE_WORKER = Settings(max_concurrent_requests_per_batch=100)


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch: latencies are log-normal with this mean and sigma, sizes are bytes a line."""

    lines: int = 1_000
    latency: float = 5.0
    sigma: float = 1.0
    settings: Settings = ONE_WORKER
    input_bytes: int = 3_000
    output_bytes: int = 4_000


@dataclass(frozen=True, slots=True)
class Run:
    """What a batch takes from admission on."""

    shards: int
    invocations: int
    """Of `infer`: a shard that lasts longer than a function is handed back and begun again."""
    commits: int
    worker_seconds: float
    inference_seconds: float
    assemble_seconds: float
    shard_units: int
    """Write units of all checkpoints, and of each shard's item when it is deleted in the end."""
    largest_shard_item: int

    @property
    def seconds(self) -> float:
        """How long the batch holds its slot."""
        return self.inference_seconds + self.assemble_seconds


@lru_cache(maxsize=10_000)
def pool_seconds(lines: int, slots: int, mean: float, sigma: float) -> float:
    """How long a rolling pool takes on average.

    When the last line starts, the other slots hold what is left of a line: the residual life of
    a renewal process of that age. The pool ends with the longest of these.
    """
    if not sigma:
        return math.ceil(lines / slots) * mean
    if lines <= slots:
        return _residual(mean, sigma, 0.0, lines - 1)[1]
    age = lines * mean / slots
    for _ in range(4):
        left, longest = _residual(mean, sigma, age, slots - 1)
        age = (lines * mean - (slots - 1) * left - mean) / slots
    return age + longest


def _residual(mean: float, sigma: float, age: float, others: int, steps: int = 2_000) -> tuple[float, float]:
    """Of slots busy for `age`: the mean time left, and the mean of the longest of `others` and a new line."""
    normal, mu = NormalDist(), math.log(mean) - sigma**2 / 2

    def survival(seconds: float) -> float:
        return normal.cdf((mu - math.log(seconds)) / sigma)

    def equilibrium(seconds: float) -> float:
        shifted = normal.cdf((mu - math.log(seconds)) / sigma + sigma)
        return max(0.0, shifted - seconds / mean * survival(seconds))

    low, high = mu - 8 * sigma, mu + 8 * sigma
    step = (high - low) / steps
    left, longest = math.exp(low), math.exp(low)
    for number in range(steps):
        seconds = math.exp(low + (number + 0.5) * step)
        fresh = survival(seconds)
        begun = fresh
        if age:
            begun = survival(age + seconds) + equilibrium(seconds) - equilibrium(age + seconds)
        left += begun * seconds * step
        longest += (1 - (1 - fresh) * (1 - min(1.0, begun)) ** others) * seconds * step
    return left, longest


@lru_cache(maxsize=1_000)
def shard_lines(lines: int, input_bytes: int, settings: Settings) -> tuple[tuple[int, int], ...]:
    """Lane and lines of each shard, as `plan` cuts them."""
    places = Lines()
    for number in range(lines):
        places.add(number * input_bytes, input_bytes - 1)
    return tuple((spec.lane, spec.lines) for spec in cut_shards(places, settings.lane_capacities, settings))


def invocations_of(lines: int, slots: int, mean: float, sigma: float) -> int:
    """How many workers a shard takes, one after the other: `ShardRun` starts no line that might not end.

    The slowest line cannot have taken longer than the run so far.
    """
    most = min(lines, FUNCTION_SECONDS * slots / mean)
    slowest = mean * math.exp(sigma * NormalDist().inv_cdf(1 - 1 / (most + 2)) - sigma**2 / 2)
    starting = FUNCTION_SECONDS - max(WIND_DOWN_SECONDS, SLOWEST_FACTOR * slowest)
    return math.ceil(lines * mean / slots / max(starting, FUNCTION_SECONDS / (1 + SLOWEST_FACTOR)))


@lru_cache(maxsize=1_000)
def run_of(shape: Shape) -> Run:
    """The time a batch takes and the checkpoints it makes."""
    settings = shape.settings
    lanes: dict[int, float] = {}
    invocations = commits = units = largest = 0
    shards = shard_lines(shape.lines, shape.input_bytes, settings)
    for lane, lines in shards:
        slots = settings.lane_capacities[lane]
        runs = invocations_of(lines, slots, shape.latency, shape.sigma)
        seconds = runs * pool_seconds(math.ceil(lines / runs), slots, shape.latency, shape.sigma)
        lanes[lane] = lanes.get(lane, 0.0) + seconds + runs * SHARD_START_SECONDS
        invocations += runs
        made = commits_of(shape, lines, seconds, runs)
        commits += made
        item_bytes = shard_item_bytes(lines, made)
        units += checkpoint_units(lines, made) + math.ceil(item_bytes / KIB)
        largest = max(largest, item_bytes)
    return Run(
        len(shards),
        invocations,
        commits,
        sum(lanes.values()),
        max(lanes.values()),
        assemble_seconds(shape, len(shards), commits),
        units,
        largest,
    )


def assemble_seconds(shape: Shape, shards: int, parts: int) -> float:
    """The first part of a shard is waited for, the next ones are read ahead."""
    reading = shards * S3_GET_SECONDS + parts * max(S3_GET_SECONDS / PARTS_AHEAD, PART_CPU_SECONDS)
    return reading + shape.lines * shape.output_bytes / ASSEMBLED_BYTES_A_SECOND


def commits_of(shape: Shape, lines: int, seconds: float, runs: int = 1) -> int:
    """Checkpoints of a shard: one an interval or every `checkpoint_bytes`, and the last one of each run.

    The first interval is random: on average there are as many as intervals.
    """
    by_bytes = lines * shape.output_bytes / shape.settings.checkpoint_bytes
    return min(lines, round(max(seconds / shape.settings.checkpoint_seconds, by_bytes)) + runs)


def shard_item_bytes(lines: int, commits: int) -> int:
    """A shard's item grows with every checkpoint: it names its parts."""
    return SHARD_ITEM_BYTES + math.ceil(lines / 8) + commits * PART_ENTRY_BYTES


def checkpoint_units(lines: int, commits: int) -> int:
    """Write units of a shard's checkpoints: each writes the whole shard item and the batch's."""
    shard = sum(math.ceil(shard_item_bytes(lines, made) / KIB) for made in range(1, commits + 1))
    return TRANSACTION * (shard + commits * ITEM_WRITE_UNITS)


def calls_of(shape: Shape) -> Counter[str]:
    """The AWS calls of a batch that completes, by name; without its client's polls."""
    run, settings = run_of(shape), shape.settings
    calls = Counter(PER_BATCH)
    for unit, number in ((PER_INVOCATION, run.invocations), (PER_CHECKPOINT, run.commits)):
        calls.update({name: count * number for name, count in unit.items()})
    for _, lines in shard_lines(shape.lines, shape.input_bytes, settings):
        calls["s3:GetObject"] += math.ceil(lines * shape.input_bytes / READ_BYTES)
    inference = run.worker_seconds / run.invocations - SHARD_START_SECONDS
    calls["dynamodb:GetItem"] += run.invocations * int(inference / settings.watch_seconds)
    calls["dynamodb:Query"] += SHARD_LISTS * (run.shards // SHARDS_A_PAGE + 1)
    calls["dynamodb:DeleteItem"] = run.shards
    renewals = int(inference / (settings.worker_lease_seconds / 3))
    calls["sqs:ChangeMessageVisibility"] += run.invocations * renewals
    calls["sqs:SendMessageBatch"] = math.ceil(run.shards / ENTRIES_A_SEND)
    parts = math.ceil(shape.lines * shape.output_bytes / UPLOAD_PART_BYTES)
    if parts > 1:
        calls += Counter(
            {"s3:CreateMultipartUpload": 1, "s3:UploadPart": parts, "s3:CompleteMultipartUpload": 1}
        )
    else:
        calls["s3:PutObject"] += 1
    return calls


def write_units(shape: Shape) -> float:
    """Write units of a batch; a plain item counts as the two kilobytes that a batch's may have."""
    calls = calls_of(shape)
    items = calls["dynamodb:PutItem"] + calls["dynamodb:UpdateItem"] + ITEMS_A_BATCH * TRANSACTION
    return items * ITEM_WRITE_UNITS + INDEX_WRITES + run_of(shape).shard_units


def attempts_a_transaction(per_second: float, seconds: float = TRANSACTION_SECONDS) -> float:
    """Of transactions on one item, that come at random: a conflict is refused and tried again."""
    share = per_second * seconds
    return 1 / (1 - share) if share < 1 else math.inf


def waiting_seconds(per_second: float, service: float, slots: int) -> float:
    """Mean wait for admission of batches that come at random and take equally long.

    Erlang's C, halved for the even service time (Lee and Longton): https://en.wikipedia.org/wiki/M/G/k_queue
    """
    offered = per_second * service
    if offered >= slots:
        return math.inf
    blocked = 1.0
    for number in range(1, slots + 1):
        blocked = offered * blocked / (number + offered * blocked)
    must_wait = blocked / (1 - offered / slots * (1 - blocked))
    return must_wait * service / (slots - offered) / 2
