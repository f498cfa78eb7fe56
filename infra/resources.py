"""The only description of the table, the queues and the functions.

The CDK app and the test rig both use it, so that what is tested is what is deployed.
"""

import math
from dataclasses import dataclass

from nightlane.api_settings import MIB, ApiSettings, EndpointSettings
from nightlane.resource_settings import AuthorizeSettings
from nightlane.settings import (
    AssembleSettings,
    DeadLettersSettings,
    InferSettings,
    LeaseSettings,
    NotifySettings,
    PlanSettings,
    ReceiveSettings,
    Settings,
    SweepSettings,
)
from nightlane.settings_group import SettingsGroup
from nightlane.webhook_settings import WebhookSettings
from nightlane.worker_memory import worker_memory

TABLE_KEY = ("pk", "sk")
TTL_ATTRIBUTE = "ttl"
# A batch's objects are deleted when it ends; what a crash left is deleted this long after its window.
WORK_MARGIN_DAYS = 7
# malloc returns a block above the first threshold to the system when it is freed. By default it raises that
# threshold by itself, up to 32 MiB, and a worker that handled answers of 15 MiB then used half as much memory
# again. Both values exceed the 256 KiB that asyncio allocates for each read from a socket; with lower ones,
# each request costs a tenth more CPU.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
MALLOC_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "524288", "MALLOC_TRIM_THRESHOLD_": "2097152"}


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """A keys-only index; `sort_type` is DynamoDB's attribute type."""

    name: str
    partition: str
    sort: str
    sort_type: str


INDEXES = (
    # Lists a tenant's batches and files by time, so that a cursor never needs a scan.
    IndexSpec(name="by_tenant", partition="owner", sort="listed", sort_type="S"),
    # Sparse: it holds only what the sweeper has to check again.
    IndexSpec(name="by_wake", partition="active", sort="wake_at", sort_type="N"),
)


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue, and its dead-letter queue, to which a message moves after `max_receive_count` receives."""

    name: str
    fifo: bool
    max_receive_count: int
    # A message may wait in its lane for a whole completion window.
    retention_days: int = 14

    @property
    def dead_letters(self) -> str:
        """The name of its dead-letter queue.

        Standard queues share one, because each event source is polled, and so costs money, even if nothing
        arrives. That of a FIFO queue must be a FIFO queue.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        """
        return f"{self.name}-dead" if self.fifo else "dead"


PLAN = QueueSpec(name="plan", fifo=False, max_receive_count=10)
# Each hand-back is a receive: a worker gives its message up for a new one before it reaches this.
INFER = QueueSpec(name="infer", fifo=True, max_receive_count=1_000)
ASSEMBLE = QueueSpec(name="assemble", fifo=False, max_receive_count=10)
# The outbox has the events; a message only says that one may be due.
NOTIFY = QueueSpec(name="notify", fifo=False, max_receive_count=5)
QUEUES = (PLAN, INFER, ASSEMBLE, NOTIFY)
DEAD_LETTER_QUEUES = tuple(dict.fromkeys(queue.dead_letters for queue in QUEUES))

# The prefix of objects that clients store themselves.
DIRECT_UPLOADS = "direct/"

# Included in the price; a larger one is not.
LAMBDA_DISK_MIB = 512
DISK_MARGIN_MIB = 64

# For functions without reserved concurrency, so that they cannot crowd out the worker.
DEFAULT_EVENT_SOURCE_CONCURRENCY = 20
# Lambda requires at least the function's timeout. AWS recommends six times that, for messages that are
# throttled. Here a function that has started shortens the visibility by its lease, and a long one would only
# keep a lane blocked after its message was received but never processed.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A Lambda function: `functions/<name>/handler.py`, timeout in seconds, memory in MB."""

    name: str
    timeout: int
    memory: int
    disk: int = LAMBDA_DISK_MIB
    """Ephemeral storage in MiB."""
    settings: type[SettingsGroup] = SettingsGroup
    """The settings in its environment."""
    queues: tuple[str, ...] = ()
    """Names of the queues that feed it."""
    batch_size: int = 1
    """Messages per invocation."""
    reports_failures: bool = False
    """It returns `batchItemFailures`: the messages that SQS must deliver again."""
    every_seconds: int | None = None
    objects: str | None = None
    """Each object that is stored below this prefix invokes it."""
    concurrency: int | None = None
    """Reserved concurrency; None leaves it to the account."""
    loops: bool = False
    """Its messages lead to new messages for itself, and Lambda's loop detection must not stop them."""
    alarms_when_throttled: bool = False
    package: str = "functions"

    @property
    def module(self) -> str:
        return f"{self.package}.{self.name}.handler"

    @property
    def is_background(self) -> bool:
        """Whether no client waits for it."""
        return bool(self.queues or self.objects) or self.every_seconds is not None

    @property
    def event_source_concurrency(self) -> int:
        """MaximumConcurrency of each of its event sources.

        Without it, pollers receive more messages than can run, and throttled ones become dead letters.
        """
        return self.concurrency or DEFAULT_EVENT_SOURCE_CONCURRENCY

    @property
    def visibility_seconds(self) -> int:
        """Visibility timeout of the queues that feed it."""
        return self.timeout + VISIBILITY_MARGIN_SECONDS

    @property
    def takes_leases(self) -> bool:
        """Whether it changes the visibility of its messages: see `nightlane.lease`."""
        return issubclass(self.settings, LeaseSettings)

    @property
    def calls_the_upstream(self) -> bool:
        return issubclass(self.settings, EndpointSettings)

    @property
    def connects_elsewhere(self) -> bool:
        """Whether it connects to more than AWS: to the upstream, or to webhook endpoints."""
        return issubclass(self.settings, EndpointSettings | WebhookSettings)


def functions(settings: Settings) -> tuple[FunctionSpec, ...]:
    """Every function, with the concurrency that follows from the settings.

    None but infer used more than 100 MiB (bench/results/memory.json), so their memory is chosen for the CPU
    share that comes with it (1,769 MB is one vCPU): 1,024 MB reads or writes 200 MB within a minute, and
    responds quickly to a waiting client.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

    plan may need a copy of the largest batch on its disk.

    assemble frees a slot, so the next batch's shards start, and so on from batch to batch. Lambda would take
    that for an infinite loop and stop it after 16 hops. It is finite, because a batch is admitted once.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    return (
        FunctionSpec(name="authorize", timeout=10, memory=512, settings=AuthorizeSettings),
        FunctionSpec(name="api", timeout=29, memory=1_024, settings=ApiSettings, alarms_when_throttled=True),
        FunctionSpec(
            name="receive", timeout=60, memory=512, settings=ReceiveSettings, objects=DIRECT_UPLOADS
        ),
        FunctionSpec(
            name="plan",
            timeout=900,
            memory=1_024,
            disk=max(LAMBDA_DISK_MIB, math.ceil(settings.max_batch_bytes / MIB) + DISK_MARGIN_MIB),
            settings=PlanSettings,
            queues=(PLAN.name,),
            loops=True,
        ),
        FunctionSpec(
            name="infer",
            timeout=900,
            memory=worker_memory(settings.requests_in_flight_per_worker),
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
        FunctionSpec(name="notify", timeout=60, memory=512, settings=NotifySettings, queues=(NOTIFY.name,)),
        FunctionSpec(name="sweep", timeout=60, memory=512, settings=SweepSettings, every_seconds=60),
        FunctionSpec(
            name="dead_letters",
            timeout=300,
            memory=512,
            settings=DeadLettersSettings,
            queues=DEAD_LETTER_QUEUES,
        ),
    )
