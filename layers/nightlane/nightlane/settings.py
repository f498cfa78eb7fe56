"""The typed settings, in groups. Code that reads a setting names the group it needs in its types.

The last classes are the settings of the Lambda functions: each has exactly what its environment holds.
"""

from pydantic import Field

from nightlane.api_settings import (
    KIB,
    MIB,
    ApiSettings,
    BatchLimitSettings,
    EndpointSettings,
    LaneSettings,
    PaceSettings,
    RetentionSettings,
    StepSettings,
    UploadSettings,
)
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
from nightlane.webhook_settings import EventBusSettings, WebhookSettings

# Of MaximumConcurrency: https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html
MIN_EVENT_SOURCE_CONCURRENCY, MAX_EVENT_SOURCE_CONCURRENCY = 2, 1_000


class LeaseSettings(SettingsGroup):
    worker_lease_seconds: int = Field(default=120, ge=2, le=43_200)


class DispatchSettings(SettingsGroup):
    stall_seconds: int = Field(
        default=600, ge=1, description="After this without progress shards are sent again"
    )


class ClosingSettings(StepSettings):
    cancel_grace_seconds: int = Field(default=600, ge=0, description="Time for a cancelled batch to drain")


class AdmissionSettings(DispatchSettings, ClosingSettings):
    max_concurrent_batches: int = Field(default=1, ge=1, le=10_000)


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
