"""The settings of the API, and the groups of them that other functions read, too.

Apart from the others, because the classes of all settings take a tenth of a cold start of the API.
"""

import json
import math
from typing import Any

from pydantic import Field, field_validator

from nightlane.client_settings import BatchEndpointSettings, BrowserSettings, QuotaSettings
from nightlane.resource_settings import AssembleQueueSettings, PlanQueueSettings, StorageSettings
from nightlane.s3_settings import S3InputSettings, S3OutputSettings
from nightlane.settings_group import SettingsGroup
from nightlane.upstream_settings import UpstreamSettings, check_upstreams
from nightlane.webhook_settings import WebhookSettings

KIB = 1024
MIB = 1024 * KIB


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


class StepSettings(SettingsGroup):
    redrive_seconds: int = Field(default=60, ge=1, description="After this an unfinished step is sent again")


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


class PaceSettings(SettingsGroup):
    """How often a worker stores results and reads its batch."""

    checkpoint_seconds: float = Field(default=30, gt=0)
    checkpoint_bytes: int = Field(default=4 * MIB, ge=1)
    watch_seconds: float = Field(default=5, gt=0, description="How often a worker checks for cancellation")


class EstimateSettings(PaceSettings, LaneSettings, BatchLimitSettings):
    """What decides whether an input is valid, how long its batch takes and what that costs."""


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
