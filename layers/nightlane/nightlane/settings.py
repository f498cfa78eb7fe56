"""The typed settings, in groups. Code that reads a setting names the group it needs in its types.

The last classes are the settings of the Lambda functions: each has exactly what its environment holds.
"""

import math
from collections.abc import Mapping
from typing import Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

PREFIX = "NIGHTLANE_"
KIB = 1024
MIB = 1024 * KIB


def sendable_key(key: str) -> str:
    """Return a key without the newline at the end of files and secrets.

    Raises:
        ValueError: the key cannot be part of an HTTP header.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("a key must be printable ASCII characters on a single line")
    return key


def endpoint_url(url: str) -> str:
    """A base URL that requests can be sent to; empty if there is none yet.

    Raises:
        ValueError: it is not an http or https URL, or holds a password, which would be logged with it.
    """
    url = url.strip()
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0):
        raise ValueError("an endpoint is a URL such as https://host/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL must not contain credentials: set the endpoint's key instead")
    if not url.isprintable() or " " in url:
        raise ValueError("the URL contains a space or a control character")
    return url


class UndeclaredSettings(Exception):
    """A function used a setting that it does not declare."""


Group = TypeVar("Group", bound="SettingsGroup")


class SettingsGroup(BaseModel):
    """A group of settings. A subclass adds its own to those of the groups it inherits from."""

    # A process reads only one of the groups, so only that one needs to be compiled.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read `NIGHTLANE_<NAME>` variables.

        Raises:
            pydantic.ValidationError: a name is unknown or a value is invalid.
        """
        return cls.model_validate(
            {
                name.removeprefix(PREFIX).lower(): value
                for name, value in environment.items()
                if name.startswith(PREFIX)
            }
        )

    def to_environment(self) -> dict[str, str]:
        """Return the environment variables for these settings, without those that have their defaults."""
        return {
            PREFIX + name.upper(): str(value)
            for name, value in self.model_dump(exclude_defaults=True).items()
        }

    @classmethod
    def of(cls, settings: "SettingsGroup") -> Self:
        """Return the settings of this group out of `settings`. Raises: AttributeError, if one is missing."""
        return cls(**{name: getattr(settings, name) for name in cls.model_fields})

    def need(self, group: type[Group]) -> Group:
        """Return these settings, typed as another group.

        Raises:
            UndeclaredSettings: the function that has these settings does not declare the group.
        """
        if isinstance(self, group):
            return self
        names = ", ".join(group.model_fields)
        raise UndeclaredSettings(f"{type(self).__name__} does not declare {names}")


class TableSettings(SettingsGroup):
    table_name: str = "nightlane"


class StorageSettings(TableSettings):
    bucket_name: str = "nightlane"


class PlanQueueSettings(SettingsGroup):
    plan_queue_url: str = ""


class InferQueueSettings(SettingsGroup):
    infer_queue_url: str = ""


class AssembleQueueSettings(SettingsGroup):
    assemble_queue_url: str = ""


class DeadLetterQueueSettings(SettingsGroup):
    """Identify which kind of message a dead letter is."""

    plan_dead_letters_arn: str = ""
    infer_dead_letters_arn: str = ""
    assemble_dead_letters_arn: str = ""


class EndpointSettings(SettingsGroup):
    """The upstream, and the key for it."""

    upstream_url: str = Field(
        default="", description="Base URL of the endpoint, with its /v1 and, if it needs one, a query"
    )
    upstream_key: str = Field(default="", description="Bearer key for the upstream; one machine only")
    upstream_key_secret: str = Field(default="", description="Id of the key in Secrets Manager")

    @field_validator("upstream_url")
    @classmethod
    def _url_can_be_called(cls, url: str) -> str:
        return endpoint_url(url)

    @field_validator("upstream_key")
    @classmethod
    def _key_can_be_sent(cls, key: str) -> str:
        return sendable_key(key)


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
    completion_window_seconds: int = Field(default=86_400, ge=1)


class RetentionSettings(SettingsGroup):
    batch_file_retention_seconds: int = Field(default=2_592_000, ge=1)


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

    @property
    def lanes(self) -> int:
        """The number of lanes (SQS FIFO message groups) of a batch, each with one worker."""
        return math.ceil(self.max_concurrent_requests_per_batch / self.requests_in_flight_per_worker)

    @property
    def lane_capacities(self) -> tuple[int, ...]:
        """The requests in flight that each lane may have; their sum is exactly the limit."""
        base, extra = divmod(self.max_concurrent_requests_per_batch, self.lanes)
        return tuple(base + (lane < extra) for lane in range(self.lanes))


class PlanningSettings(BatchSizeSettings, ShardSettings, AdmissionSettings):
    max_batch_lines: int = Field(default=50_000, ge=1)
    prefix_order: bool = Field(
        default=True,
        description="Send lines with the same system prompt one after another, for prefix caches",
    )


class AssemblySettings(RetentionSettings, AdmissionSettings): ...


class SweepingSettings(AdmissionSettings, WindowSettings): ...


class RequestSettings(EndpointSettings):
    """One request to the upstream."""

    upstream_timeout_seconds: float = Field(
        default=600, gt=0, le=840, description="For one request; must fit into an invocation of 900 s"
    )
    max_answer_bytes: int = Field(default=16 * MIB, ge=KIB, description="Of one response from the upstream")


class InferenceSettings(RequestSettings, ClosingSettings):
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
    checkpoint_seconds: float = Field(default=30, gt=0)
    checkpoint_bytes: int = Field(default=4 * MIB, ge=1)
    watch_seconds: float = Field(default=5, gt=0, description="How often a worker checks for cancellation")


class AuthorizeSettings(TableSettings): ...


class ApiSettings(
    StorageSettings,
    PlanQueueSettings,
    AssembleQueueSettings,
    EndpointSettings,
    UploadSettings,
    ContentSettings,
    WindowSettings,
): ...


class PlanSettings(
    StorageSettings,
    PlanQueueSettings,
    InferQueueSettings,
    AssembleQueueSettings,
    LeaseSettings,
    EndpointSettings,
    PlanningSettings,
): ...


class InferSettings(
    StorageSettings, InferQueueSettings, AssembleQueueSettings, LeaseSettings, InferenceSettings
): ...


class AssembleSettings(
    StorageSettings, InferQueueSettings, AssembleQueueSettings, LeaseSettings, AssemblySettings
): ...


class SweepSettings(
    StorageSettings, PlanQueueSettings, InferQueueSettings, AssembleQueueSettings, SweepingSettings
): ...


class DeadLettersSettings(
    StorageSettings, AssembleQueueSettings, DeadLetterQueueSettings, ClosingSettings
): ...


class Settings(
    AuthorizeSettings,
    ApiSettings,
    PlanSettings,
    InferSettings,
    AssembleSettings,
    SweepSettings,
    DeadLettersSettings,
):
    """All settings, each read from `NIGHTLANE_<NAME>` in the environment."""

    @property
    def worker_concurrency(self) -> int:
        """Reserved concurrency of `infer`; at least 2, which is the minimum of MaximumConcurrency in SQS."""
        return max(2, self.max_concurrent_batches * self.lanes)
