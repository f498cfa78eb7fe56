"""The typed settings, in groups. Code that reads a setting names the group it needs in its types.

The last classes are the settings of the Lambda functions: each has exactly what its environment holds.
"""

import json
import math
from typing import Any

from pydantic import Field, field_validator

from nightlane.client_settings import BatchEndpointSettings, BrowserSettings, QuotaSettings
from nightlane.resource_settings import (
    AssembleQueueSettings,
    AuthorizeSettings,
    InferQueueSettings,
    NotifyQueueSettings,
    PlanQueueSettings,
    StorageSettings,
)
from nightlane.s3_settings import S3InputSettings, S3OutputSettings
from nightlane.settings_group import SettingsGroup
from nightlane.upstream_settings import UpstreamSettings, check_upstreams
from nightlane.webhook_settings import EventBusSettings, WebhookSettings

KIB = 1024
MIB = 1024 * KIB
# Of MaximumConcurrency: https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html
MIN_EVENT_SOURCE_CONCURRENCY, MAX_EVENT_SOURCE_CONCURRENCY = 2, 1_000


class EndpointSettings(SettingsGroup):
    """The upstreams. A line goes to the first one that takes its model."""

    upstreams: tuple[UpstreamSettings, ...] = Field(default=(), description="As JSON in an environment")

    @field_validator("upstreams", mode="before")
    @classmethod
    def _read_json(cls, value: Any) -> Any:
        value = json.loads(value) if isinstance(value, str) else value
        # The default is a tuple: of processes that call no upstream. What an operator writes is a list.
        if value == []:
            raise ValueError("the list is empty: at least one upstream is needed")
        return value

    @field_validator("upstreams")
    @classmethod
    def _all_can_be_used(cls, upstreams: tuple[UpstreamSettings, ...]) -> tuple[UpstreamSettings, ...]:
        check_upstreams(upstreams)
        return upstreams

    def find_upstream(self, name: str) -> UpstreamSettings | None:
        """Return the upstream of this name; None if the operator has removed it."""
        return next((each for each in self.upstreams if each.name == name), None)


class LeaseSettings(SettingsGroup):
    worker_lease_seconds: int = Field(default=120, ge=2, le=43_200)


class StepSettings(SettingsGroup):
    redrive_seconds: int = Field(default=60, ge=1, description="After this an unfinished step is sent again")


class DispatchSettings(SettingsGroup):
    stall_seconds: int = Field(
        default=600, ge=1, description="After this without progress shards are sent again"
    )


class ClosingSettings(StepSettings):
    cancel_grace_seconds: int = Field(default=600, ge=0, description="Time for a cancelled batch to drain")


class AdmissionSettings(DispatchSettings, ClosingSettings):
    max_concurrent_batches: int = Field(default=1, ge=1, le=10_000)


class WindowSettings(StepSettings):
    completion_window_seconds: int = Field(
        default=86_400, ge=1, description="How long a batch with the window 24h may take"
    )


class RetentionSettings(SettingsGroup):
    batch_file_retention_seconds: int = Field(default=2_592_000, ge=1)


class NewBatchSettings(WindowSettings, S3InputSettings, S3OutputSettings): ...


class InlineSettings(RetentionSettings, NewBatchSettings): ...


class BatchSizeSettings(SettingsGroup):
    max_batch_bytes: int = Field(default=209_715_200, ge=1)
    max_line_bytes: int = Field(default=8 * MIB, ge=1)


class UploadSettings(BatchSizeSettings, RetentionSettings):
    max_upload_bytes: int = Field(
        default=4_600_000, ge=1, description="Must fit into Lambda's 6 MB, in base64 and with the event"
    )


class ContentSettings(SettingsGroup):
    max_inline_content_bytes: int = Field(default=4 * MIB, ge=0)


class ShardSettings(SettingsGroup):
    """How the lines of a batch are divided into shards and distributed over lanes."""

    max_concurrent_requests_per_batch: int = Field(default=10, ge=1, le=10_000)
    requests_in_flight_per_worker: int = Field(
        default=100, ge=1, le=900, description="Lambda has 1,024 file descriptors"
    )
    # At worst each line has a part of its own, which takes 84 bytes of the shard's item of at most 400 KB:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    shard_max_lines: int = Field(default=4_800, ge=1, le=4_800)
    shard_max_bytes: int = Field(default=16 * MIB, ge=1)

    def lane_capacities(
        self, upstream_limit: int | None = None, tenant_limit: int | None = None
    ) -> tuple[int, ...]:
        """The requests in flight that each lane (SQS FIFO message group) of a batch may have on one upstream.

        Their sum is exactly the lowest of the batch's limit, the upstream's and the tenant's.
        """
        limits = (self.max_concurrent_requests_per_batch, upstream_limit, tenant_limit)
        limit = min(limit for limit in limits if limit is not None)
        lanes = math.ceil(limit / self.requests_in_flight_per_worker)
        base, extra = divmod(limit, lanes)
        return tuple(base + (lane < extra) for lane in range(lanes))


class BatchLimitSettings(BatchSizeSettings):
    """What the input of a batch may have."""

    max_batch_lines: int = Field(default=50_000, ge=1)
    one_model_per_batch: bool = Field(
        default=False, description="True: a batch with several models is refused, as OpenAI does"
    )


class LaneSettings(EndpointSettings, ShardSettings):
    """What decides how many requests of a batch are in flight at each upstream."""


class PlanningSettings(LaneSettings, BatchLimitSettings, AdmissionSettings, S3InputSettings):
    prefix_order: bool = Field(
        default=True,
        description="Send lines with the same system prompt one after another, for prefix caches",
    )


class AssemblySettings(RetentionSettings, AdmissionSettings, S3OutputSettings): ...


class SweepingSettings(AdmissionSettings): ...


class RequestSettings(EndpointSettings):
    """One request to the upstream."""

    upstream_timeout_seconds: float = Field(
        default=600,
        gt=0,
        le=840,
        description="For one request, unless the upstream has its own; must fit into an invocation of 900 s",
    )
    max_answer_bytes: int = Field(default=16 * MIB, ge=KIB, description="Of one response from the upstream")


class PaceSettings(SettingsGroup):
    """How often a worker stores results and reads its batch."""

    checkpoint_seconds: float = Field(default=30, gt=0)
    checkpoint_bytes: int = Field(default=4 * MIB, ge=1)
    watch_seconds: float = Field(default=5, gt=0, description="How often a worker checks for cancellation")


class EstimateSettings(PaceSettings, LaneSettings, BatchLimitSettings):
    """What decides whether an input is valid, how long its batch takes and what that costs."""


class InferenceSettings(LeaseSettings, PaceSettings, RequestSettings, ClosingSettings):
    active_hours_are_strict: bool = Field(
        default=False,
        description="True: a batch expires rather than run outside the active hours of its upstream",
    )
    upstream_pause_seconds: int = Field(
        default=60,
        ge=0,
        le=300,
        description="How long all lanes rest when the upstream is down; doubles each time",
    )
    target_seconds_per_output_token: float | None = Field(
        default=None,
        gt=0,
        description="Send fewer requests at once while answers take longer, for others who use the endpoint",
    )
    line_attempts: int = Field(
        default=5, ge=1, le=20, description="Failures after which a line fails, if the upstream works"
    )
    refusal_patience_seconds: int = Field(
        default=1_800, ge=1, description="A line fails if it alone is refused for this long"
    )


class ApiSettings(
    StorageSettings,
    PlanQueueSettings,
    AssembleQueueSettings,
    EstimateSettings,
    UploadSettings,
    ContentSettings,
    InlineSettings,
    BatchEndpointSettings,
    BrowserSettings,
    WebhookSettings,
    QuotaSettings,
): ...


class ReceiveSettings(StorageSettings, UploadSettings): ...


class PlanSettings(
    StorageSettings,
    PlanQueueSettings,
    InferQueueSettings,
    AssembleQueueSettings,
    NotifyQueueSettings,
    LeaseSettings,
    PlanningSettings,
): ...


class InferSettings(StorageSettings, InferQueueSettings, AssembleQueueSettings, InferenceSettings): ...


class AssembleSettings(
    StorageSettings,
    InferQueueSettings,
    AssembleQueueSettings,
    NotifyQueueSettings,
    LeaseSettings,
    AssemblySettings,
): ...


class SweepSettings(
    StorageSettings,
    PlanQueueSettings,
    InferQueueSettings,
    AssembleQueueSettings,
    NotifyQueueSettings,
    SweepingSettings,
): ...


class NotifySettings(StorageSettings, WebhookSettings, EventBusSettings): ...


class DeadLettersSettings(StorageSettings, AssembleQueueSettings, NotifyQueueSettings, ClosingSettings): ...


class Settings(
    AuthorizeSettings,
    ApiSettings,
    ReceiveSettings,
    PlanSettings,
    InferSettings,
    AssembleSettings,
    SweepSettings,
    NotifySettings,
    DeadLettersSettings,
):
    """All settings, each read from `NIGHTLANE_<NAME>` in the environment."""

    @property
    def max_lanes(self) -> int:
        """The lanes of all admitted batches."""
        limits = [each.max_concurrent_requests for each in self.upstreams] or [None]
        return self.max_concurrent_batches * sum(len(self.lane_capacities(limit)) for limit in limits)

    @property
    def worker_concurrency(self) -> int:
        """Reserved concurrency of `infer`: a worker for each lane, and a second one while it is handed over.

        Without room for the second, it begins when the first has ended.
        """
        with_successors = min(2 * self.max_lanes, MAX_EVENT_SOURCE_CONCURRENCY)
        return max(MIN_EVENT_SOURCE_CONCURRENCY, self.max_lanes, with_successors)
