"""The one typed settings model, read once from the environment of a function."""

import math
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

PREFIX = "NIGHTLANE_"
KIB = 1024
MIB = 1024 * KIB


def sendable_key(key: str) -> str:
    """A key without the line feed that files and secrets end with.

    Raises:
        ValueError: it cannot be part of an HTTP header.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("a key is printable ASCII characters on one line")
    return key


class Settings(BaseModel):
    """Everything an operator can turn, by `NIGHTLANE_<NAME>` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table_name: str = "nightlane"
    bucket_name: str = "nightlane"
    plan_queue_url: str = ""
    infer_queue_url: str = ""
    assemble_queue_url: str = ""

    upstream_url: str = Field(default="", description="Base URL of the endpoint, with its /v1")
    upstream_key: str = Field(default="", description="Bearer key for the upstream; locally only")
    upstream_key_secret: str = Field(default="", description="Secrets Manager id that holds the key")
    upstream_timeout_seconds: float = Field(
        default=600, gt=0, le=840, description="For one request; it must fit into an invocation of 900 s"
    )
    upstream_pause_seconds: int = Field(
        default=60,
        ge=0,
        le=300,
        description="First rest of all lanes when the upstream is down; then doubled",
    )
    line_attempts: int = Field(
        default=5, ge=1, le=20, description="Failures that make a line the culprit, the upstream working"
    )
    refusal_patience_seconds: int = Field(
        default=1_800, ge=1, description="A line that alone is refused for so long gets it as its answer"
    )
    max_answer_bytes: int = Field(default=16 * MIB, ge=KIB, description="Of one answer of the upstream")

    max_concurrent_batches: int = Field(default=1, ge=1, le=10_000)
    max_concurrent_requests_per_batch: int = Field(default=10, ge=1, le=10_000)
    requests_in_flight_per_worker: int = Field(
        default=100, ge=1, le=900, description="Lambda has 1,024 file descriptors"
    )
    checkpoint_seconds: float = Field(default=30, gt=0)
    checkpoint_bytes: int = Field(default=4 * MIB, ge=1)
    worker_lease_seconds: int = Field(default=120, ge=2, le=43_200)
    watch_seconds: float = Field(default=5, gt=0, description="How often a worker looks for a cancel")
    # A line has a part of its own at worst, 84 bytes in the shard's item, which may have 400 KB:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    shard_max_lines: int = Field(default=4_800, ge=1, le=4_800)
    shard_max_bytes: int = Field(default=16 * MIB, ge=1)

    completion_window_seconds: int = Field(default=86_400, ge=1)
    cancel_grace_seconds: int = Field(default=600, ge=0, description="Drain of a cancelled batch")
    stall_seconds: int = Field(default=600, ge=1, description="No progress for this long: re-drive")
    redrive_seconds: int = Field(default=60, ge=1, description="A step not done by then is sent again")
    max_upload_bytes: int = Field(
        default=4_600_000, ge=1, description="In base64, with its event, it must fit into Lambda's 6 MB"
    )
    max_inline_content_bytes: int = Field(default=4 * MIB, ge=0)
    max_batch_lines: int = Field(default=50_000, ge=1)
    max_batch_bytes: int = Field(default=209_715_200, ge=1)
    max_line_bytes: int = Field(default=8 * MIB, ge=1)
    batch_file_retention_seconds: int = Field(default=2_592_000, ge=1)

    @field_validator("upstream_key")
    @classmethod
    def _key_can_be_sent(cls, key: str) -> str:
        return sendable_key(key)

    @property
    def lanes(self) -> int:
        """Workers of one batch: SQS FIFO message groups."""
        return math.ceil(self.max_concurrent_requests_per_batch / self.requests_in_flight_per_worker)

    @property
    def lane_capacities(self) -> tuple[int, ...]:
        """Requests in flight of each lane; they sum to the limit exactly."""
        base, extra = divmod(self.max_concurrent_requests_per_batch, self.lanes)
        return tuple(base + (lane < extra) for lane in range(self.lanes))

    @property
    def worker_concurrency(self) -> int:
        """Reserved concurrency of `infer`; SQS allows no MaximumConcurrency below 2."""
        return max(2, self.max_concurrent_batches * self.lanes)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read `NIGHTLANE_<NAME>` variables; unknown names are refused.

        Raises:
            pydantic.ValidationError: a value is not what its setting takes.
        """
        return cls.model_validate(
            {
                name.removeprefix(PREFIX).lower(): value
                for name, value in environment.items()
                if name.startswith(PREFIX)
            }
        )

    def to_environment(self) -> dict[str, str]:
        """The environment that reads back as these settings: only what differs from the defaults."""
        return {
            PREFIX + name.upper(): str(value)
            for name, value in self.model_dump(exclude_defaults=True).items()
        }


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return Settings.from_environment(os.environ)
