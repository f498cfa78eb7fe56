"""The one description of tables, queues, buckets and functions.

The CDK app and the test rig both read it, so that what is tested is what is deployed.
"""

from dataclasses import dataclass

from nightlane.settings import (
    ApiSettings,
    AssembleSettings,
    AuthorizeSettings,
    DeadLettersSettings,
    EndpointSettings,
    InferSettings,
    LeaseSettings,
    PlanSettings,
    Settings,
    SettingsGroup,
    SweepSettings,
)

TABLE_KEY = ("pk", "sk")
TTL_ATTRIBUTE = "ttl"
# What a batch works on is deleted at its end; what that misses goes so long after its window.
WORK_MARGIN_DAYS = 7
# A larger piece than the first goes back to the system when it is freed. By itself malloc raises this to
# 32 MiB, and a worker that handles answers of 15 MiB grew by a half. Both are above the 256 KiB that asyncio
# allocates for each read from a socket: below, each request would cost a tenth more.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "524288", "MALLOC_TRIM_THRESHOLD_": "2097152"}


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """A keys-only index; `sort_type` is DynamoDB's attribute type."""

    name: str
    partition: str
    sort: str
    sort_type: str


INDEXES = (
    # Lists of a tenant, by time: cursors never scan.
    IndexSpec(name="by_tenant", partition="owner", sort="listed", sort_type="S"),
    # Sparse: only what the sweeper has to look at again.
    IndexSpec(name="by_wake", partition="active", sort="wake_at", sort_type="N"),
)


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue with its dead-letter queue, which gets a message after `max_receive_count` receives."""

    name: str
    fifo: bool
    max_receive_count: int
    # A message may wait in its lane for a whole completion window.
    retention_days: int = 14

    @property
    def dead_letters(self) -> str:
        return f"{self.name}-dead"


PLAN = QueueSpec(name="plan", fifo=False, max_receive_count=10)
# Hand-backs are receives too: a day of quarter hours and of rests while the upstream is down.
INFER = QueueSpec(name="infer", fifo=True, max_receive_count=1_000)
ASSEMBLE = QueueSpec(name="assemble", fifo=False, max_receive_count=10)
QUEUES = (PLAN, INFER, ASSEMBLE)

# Nothing but the worker is worth a limit of its own; this keeps the rest from crowding it out.
OTHERS_CONCURRENCY = 20
# Lambda asks for at least the function's timeout. Six times that is the common advice, for messages that
# are throttled; here the lease shortens the visibility of whatever has begun, and a long one would keep
# the lane of a message that never began blocked.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A Lambda function: `functions/<name>/handler.py`, timeout in seconds, memory in MB."""

    name: str
    timeout: int
    memory: int
    settings: type[SettingsGroup] = SettingsGroup
    """The settings in its environment."""
    queues: tuple[str, ...] = ()
    """Names of the queues that feed it."""
    batch_size: int = 1
    """Messages an invocation."""
    reports_failures: bool = False
    """It returns `batchItemFailures`: the messages to deliver again."""
    every_seconds: int | None = None
    concurrency: int | None = None
    """Reserved; None leaves it to the account."""
    loops: bool = False
    """Its messages lead to new messages for itself, which Lambda must not stop."""
    alarms_when_throttled: bool = False
    package: str = "functions"

    @property
    def module(self) -> str:
        return f"{self.package}.{self.name}.handler"

    @property
    def is_background(self) -> bool:
        """No client waits for it."""
        return bool(self.queues) or self.every_seconds is not None

    @property
    def event_source_concurrency(self) -> int:
        """MaximumConcurrency of each queue that feeds it.

        Without it, more messages would be received than can run, and throttled ones end as dead letters.
        """
        return self.concurrency or OTHERS_CONCURRENCY

    @property
    def visibility_seconds(self) -> int:
        """Visibility timeout of the queues that feed it."""
        return self.timeout + VISIBILITY_MARGIN_SECONDS

    @property
    def takes_leases(self) -> bool:
        """It changes the visibility of its messages: see `nightlane.lease`."""
        return issubclass(self.settings, LeaseSettings)

    @property
    def calls_the_upstream(self) -> bool:
        return issubclass(self.settings, EndpointSettings)


def functions(settings: Settings) -> tuple[FunctionSpec, ...]:
    """Every function, as these settings shape it.

    None was seen to use more than 100 MiB (bench/results/memory.json), so memory is bought for the share of
    a CPU that comes with it (1,769 MB is a whole one): 512 MB keeps 100 requests in flight, for each costs
    0.1 ms; 1,024 MB reads or writes 200 MB within a minute, and answers a client who waits.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

    assemble frees a slot, the next batch's shards start, and so on from batch to batch: Lambda would take
    that for a loop and stop it after 16 hops. It is finite, since a batch is admitted once.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    return (
        FunctionSpec(name="authorize", timeout=10, memory=512, settings=AuthorizeSettings),
        FunctionSpec(name="api", timeout=29, memory=1_024, settings=ApiSettings, alarms_when_throttled=True),
        FunctionSpec(
            name="plan", timeout=900, memory=1_024, settings=PlanSettings, queues=(PLAN.name,), loops=True
        ),
        FunctionSpec(
            name="infer",
            timeout=900,
            memory=512,
            settings=InferSettings,
            queues=(INFER.name,),
            reports_failures=True,
            concurrency=settings.worker_concurrency,
            loops=True,
            alarms_when_throttled=True,
        ),
        FunctionSpec(
            name="assemble",
            timeout=900,
            memory=1_024,
            settings=AssembleSettings,
            queues=(ASSEMBLE.name,),
            loops=True,
        ),
        FunctionSpec(name="sweep", timeout=60, memory=512, settings=SweepSettings, every_seconds=60),
        FunctionSpec(
            name="dead_letters",
            timeout=300,
            memory=512,
            settings=DeadLettersSettings,
            queues=tuple(queue.dead_letters for queue in QUEUES),
        ),
    )
