"""The settings that say which S3 locations batches may read from and write to."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from nightlane.settings_group import SettingsGroup

# A bucket, and folders of characters that mean nothing in an IAM policy; none is "." or "..".
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
PREFIX_PATTERN = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([A-Za-z0-9_=+-][A-Za-z0-9_=+.-]*/)*$"


class S3Prefix(BaseModel):
    """A prefix, and the tenants that may use it; without `tenants`, all may."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    prefix: Annotated[str, StringConstraints(max_length=500, pattern=PREFIX_PATTERN)]
    tenants: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        return {"prefix": value} if isinstance(value, str) else value

    def covers(self, url: str, tenant: str) -> bool:
        """Whether a tenant may use a location. The slash at the end of the prefix excludes `folder-2`."""
        return url.startswith(self.prefix) and (self.tenants is None or tenant in self.tenants)


def _read_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError('this must be a JSON list of prefixes, such as ["s3://bucket/folder/"]') from error


class S3InputSettings(SettingsGroup):
    s3_inputs: tuple[S3Prefix, ...] = Field(
        default=(),
        max_length=20,
        description="Where batches may read their input from; as JSON in an environment",
    )

    _read_inputs = field_validator("s3_inputs", mode="before")(_read_json)


class S3OutputSettings(SettingsGroup):
    s3_outputs: tuple[S3Prefix, ...] = Field(
        default=(),
        max_length=20,
        description="Where batches may have their results copied to; as JSON in an environment",
    )

    _read_outputs = field_validator("s3_outputs", mode="before")(_read_json)
