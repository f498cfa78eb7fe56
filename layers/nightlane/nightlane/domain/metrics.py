"""What Nightlane measures of itself. The dashboard and the alarms read the same names."""

from enum import StrEnum
from typing import Protocol

NAMESPACE = "Nightlane"


class Unit(StrEnum):
    """CloudWatch's units."""

    COUNT = "Count"
    MILLISECONDS = "Milliseconds"
    PERCENT = "Percent"


class Metric(StrEnum):
    """A metric's name in CloudWatch; those of the sweeper are gauges, once a minute."""

    BATCHES_CREATED = "BatchesCreated"
    BATCHES_COMPLETED = "BatchesCompleted"
    BATCHES_FAILED = "BatchesFailed"
    BATCHES_EXPIRED = "BatchesExpired"
    BATCHES_CANCELLED = "BatchesCancelled"
    BATCHES_RUNNING = "BatchesRunning"
    BATCHES_WAITING = "BatchesWaiting"
    BATCHES_STALLED = "BatchesStalled"
    """Sent again, for no worker had got on with them."""
    BATCHES_OVERDUE = "BatchesOverdue"
    """Still open ten minutes after they should have expired: nothing may ever be."""
    LINES_COMPLETED = "LinesCompleted"
    LINES_FAILED = "LinesFailed"
    LINES_FAILED_SHARE = "LinesFailedShare"
    """Per cent of a checkpoint's lines."""
    LINES_EXPIRED = "LinesExpired"
    LINES_CANCELLED = "LinesCancelled"
    PROMPT_TOKENS = "PromptTokens"
    COMPLETION_TOKENS = "CompletionTokens"
    UPSTREAM_LATENCY = "UpstreamLatency"
    UPSTREAM_REFUSALS = "UpstreamRefusals"
    """Answers, or none, that say nothing about the line; in all, and by upstream and kind."""
    UPSTREAM_FAILURES = "UpstreamFailures"
    """What may be the line's fault, or the upstream's; in all, and by upstream and kind."""
    UPSTREAM_DOWN = "UpstreamDown"
    """A lane rests, for it got nothing but refusals and failures."""
    IN_FLIGHT = "InFlight"
    """Requests in flight of one worker, on average since its last checkpoint."""
    CHECKPOINT_TIME = "CheckpointTime"
    QUEUE_WAIT = "QueueWait"
    """From a message's sending to its first start; the only one told apart by function."""
    ADMISSION_WAIT = "AdmissionWait"
    """From a batch's creation to its admission."""
    MESSAGES_NOT_SENT = "MessagesNotSent"
    """Of a batch that is durable all the same: the sweeper sends them later."""
    DEAD_LETTERS = "DeadLetters"


_MILLISECONDS = frozenset(
    {Metric.UPSTREAM_LATENCY, Metric.CHECKPOINT_TIME, Metric.QUEUE_WAIT, Metric.ADMISSION_WAIT}
)


def unit_of(metric: Metric) -> Unit:
    """What a metric counts."""
    if metric is Metric.LINES_FAILED_SHARE:
        return Unit.PERCENT
    return Unit.MILLISECONDS if metric in _MILLISECONDS else Unit.COUNT


class Meter(Protocol):
    """Takes measurements; `publish` sends those taken so far."""

    def add(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        """Take a value; it has these dimensions beside the service."""

    def publish(self) -> None: ...
