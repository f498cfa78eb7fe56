"""A batch: its status, counts and plan.

Source of the status machine: https://platform.openai.com/docs/guides/batch
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from nightlane.domain.quotas import NO_QUOTA, NO_SIZE, BatchSize, Quota
from nightlane.domain.tally import NO_TALLY, Tally
from nightlane.domain.trouble import Trouble


class BatchStatus(StrEnum):
    """OpenAI's batch statuses."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED})


class Outcome(StrEnum):
    """How a closed batch will end; its value is the terminal status."""

    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class BatchError(msgspec.Struct, frozen=True):
    """A validation error of the input file; `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Token counts, named as in the Responses API for every endpoint."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.total_tokens + other.total_tokens,
        )


NO_USAGE = Usage()


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a new batch; `output_expires_after` in seconds."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: Mapping[str, str] | None = None
    output_expires_after: int | None = None
    retry_of: str | None = None
    """The earlier batch whose failed lines it runs again; None for an ordinary batch."""
    output_prefix: str | None = None
    """An s3:// URL that the result files are copied to."""

    def fingerprint(self) -> str:
        """Return a hash that is equal for equal parameters, in any order of the metadata."""
        parameters = [
            self.input_file_id,
            self.endpoint,
            self.completion_window,
            None if self.metadata is None else sorted(self.metadata.items()),
            self.output_expires_after,
            self.retry_of,
            self.output_prefix,
        ]
        return hashlib.sha256(json.dumps(parameters).encode()).hexdigest()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is stored. Times are whole seconds since 1970, as in OpenAI's objects."""

    id: str
    tenant: str
    request: BatchRequest
    status: BatchStatus
    listed: str
    """Sort key of the tenant's list: creation in milliseconds, then the id."""
    created_at: int
    expires_at: int
    quota: Quota = NO_QUOTA
    """Of its tenant, when it was created."""

    validated_at: int | None = None
    """When it passed validation. It may then have to wait for a slot."""
    in_progress_at: int | None = None
    """When it was admitted. Clients see `shown_in_progress_at`."""
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None

    model: str | None = None
    errors: tuple[BatchError, ...] = ()
    total: int = 0
    size: BatchSize = NO_SIZE
    """Set when the batch is planned."""
    completed: int = 0
    failed: int = 0
    usage: Usage = NO_USAGE
    tally: Tally = NO_TALLY
    output_file_id: str | None = None
    error_file_id: str | None = None

    output_problem: str | None = None
    """Why the results could not be copied to `output_prefix`."""

    epoch: int = 0
    """Fencing token of planning and assembly: raised by each that begins; only the newest may commit."""
    manifest_key: str | None = None
    """Key of the blob that lists the shards; set when the batch is planned."""
    shards_total: int = 0
    shards_done: int = 0
    dispatches: int = 0
    """How often the shards were sent to the lanes."""
    progress_seen: int = 0
    """The progress that the sweeper last saw."""
    trouble: Trouble | None = None
    """The last refusal or failure of the upstream, unless a line has completed since."""
    is_resting: bool = False
    """Whether it has no messages in the queue, because the sweeper will send the shards again later."""
    history: str | None = None
    """Set when the batch ends, see `domain.history`."""
    outcome: Outcome | None = None
    """Set when the batch is closed: workers can no longer commit, and assembly may begin."""

    @property
    def shown_status(self) -> BatchStatus:
        """OpenAI's status: in progress from validation on, also while the batch waits for a slot."""
        waits = self.status is BatchStatus.VALIDATING and self.validated_at is not None
        return BatchStatus.IN_PROGRESS if waits else self.status

    @property
    def shown_in_progress_at(self) -> int | None:
        """When the shown status became in_progress. An earlier version did not store `validated_at`."""
        return self.validated_at or self.in_progress_at

    @property
    def is_planned(self) -> bool:
        return self.manifest_key is not None

    @property
    def is_waiting(self) -> bool:
        """Whether it is planned, but not yet admitted."""
        return self.is_planned and self.status is BatchStatus.VALIDATING and self.outcome is None

    @property
    def is_open(self) -> bool:
        """Whether workers may still commit results."""
        return self.outcome is None and self.status in (BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING)

    @property
    def is_drained(self) -> bool:
        """Whether every shard is finished, or none was ever sent."""
        return self.shards_done >= self.shards_total or self.in_progress_at is None
