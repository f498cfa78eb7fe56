"""The metrics of Nightlane. The dashboard and the alarms use the same names."""

from enum import StrEnum
from typing import Protocol

NAMESPACE = "Nightlane"


class Unit(StrEnum):
    """CloudWatch's units."""

    COUNT = "Count"
    MILLISECONDS = "Milliseconds"
    PERCENT = "Percent"


class Metric(StrEnum):
    """A metric's name in CloudWatch. The sweeper's are gauges: once a minute, while they are not zero."""

    BATCHES_CREATED = "BatchesCreated"
    BATCHES_COMPLETED = "BatchesCompleted"
    BATCHES_FAILED = "BatchesFailed"
    BATCHES_EXPIRED = "BatchesExpired"
    BATCHES_CANCELLED = "BatchesCancelled"
    BATCHES_RUNNING = "BatchesRunning"
    BATCHES_WAITING = "BatchesWaiting"
    BATCHES_STALLED = "BatchesStalled"
    """Batches whose messages were sent again because they made no progress."""
    BATCHES_OVERDUE = "BatchesOverdue"
    """Batches still open ten minutes after they should have expired, which must never happen."""
    WORK_STUCK = "WorkStuck"
    """Batches that are stalled or overdue, or wait for too long to be planned or assembled."""
    LINES_COMPLETED = "LinesCompleted"
    LINES_FAILED = "LinesFailed"
    LINES_FAILED_SHARE = "LinesFailedShare"
    """Percentage of a checkpoint's lines."""
    LINES_EXPIRED = "LinesExpired"
    LINES_CANCELLED = "LinesCancelled"
    PROMPT_TOKENS = "PromptTokens"
    COMPLETION_TOKENS = "CompletionTokens"
    UPSTREAM_LATENCY = "UpstreamLatency"
    UPSTREAM_REFUSALS = "UpstreamRefusals"
    """Outcomes that say nothing about the line; in total, and by upstream and kind."""
    UPSTREAM_FAILURES = "UpstreamFailures"
    """Outcomes that may be the line's fault or the upstream's; in total, and by upstream and kind."""
    UPSTREAM_DOWN = "UpstreamDown"
    """A lane rests because it got only refusals and failures."""
    IN_FLIGHT = "InFlight"
    """A worker's requests in flight, on average since its last checkpoint."""
    CHECKPOINT_TIME = "CheckpointTime"
    QUEUE_WAIT = "QueueWait"
    """From sending a message to starting its first invocation; the only metric reported by function."""
    ADMISSION_WAIT = "AdmissionWait"
    """From a batch's creation to its admission."""
    MESSAGES_NOT_SENT = "MessagesNotSent"
    """Messages that could not be sent for a batch that is stored; the sweeper sends them later."""
    DEAD_LETTERS = "DeadLetters"
    WEBHOOKS_DELIVERED = "WebhooksDelivered"
    WEBHOOK_FAILURES = "WebhookFailures"
    """Attempts to deliver an event that did not succeed."""
    WEBHOOKS_GIVEN_UP = "WebhooksGivenUp"
    """Events that an endpoint did not take within 72 hours."""


_MILLISECONDS = frozenset(
    {Metric.UPSTREAM_LATENCY, Metric.CHECKPOINT_TIME, Metric.QUEUE_WAIT, Metric.ADMISSION_WAIT}
)


def unit_of(metric: Metric) -> Unit:
    """Return the unit of a metric."""
    if metric is Metric.LINES_FAILED_SHARE:
        return Unit.PERCENT
    return Unit.MILLISECONDS if metric in _MILLISECONDS else Unit.COUNT


class Meter(Protocol):
    """Collects measurements; `publish` sends those collected so far."""

    def add(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        """Add a value, with these dimensions besides the service."""

    def publish(self) -> None: ...
