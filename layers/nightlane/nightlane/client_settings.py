"""The settings of what clients may do: endpoints that batches are for, quotas, browsers."""

import json
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from nightlane.domain.quotas import MAX_QUOTA, Quota
from nightlane.settings_group import SettingsGroup

# Segments of letters, digits, "_", "-" and ".", none of which begins with a dot.
Path = Annotated[str, StringConstraints(max_length=100, pattern=r"^/v1(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$")]


class BatchEndpointSettings(SettingsGroup):
    extra_endpoints: tuple[Path, ...] = Field(
        default=(),
        max_length=20,
        description="Paths that a batch may be for, besides OpenAI's; as JSON in an environment",
    )

    @field_validator("extra_endpoints", mode="before")
    @classmethod
    def _read_paths(cls, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError('this must be a JSON list of paths, such as ["/v1/rerank"]') from error

    @field_validator("extra_endpoints")
    @classmethod
    def _each_once(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(paths))


class QuotaSettings(SettingsGroup):
    """What each tenant may use, unless its key has another number; None is unlimited."""

    quota_batches_per_hour: int | None = Field(default=None, ge=1, le=MAX_QUOTA)
    quota_enqueued_requests: int | None = Field(default=None, ge=1, le=MAX_QUOTA)
    quota_enqueued_tokens: int | None = Field(default=None, ge=1, le=MAX_QUOTA)
    quota_stored_bytes: int | None = Field(default=None, ge=1, le=MAX_QUOTA)
    quota_requests_in_flight: int | None = Field(default=None, ge=1, le=MAX_QUOTA)

    @property
    def quota(self) -> Quota:
        """The default of all tenants."""
        return Quota(**{name: getattr(self, f"quota_{name}") for name in Quota.__struct_fields__})


class BrowserSettings(SettingsGroup):
    cors_origin: str | None = Field(
        default=None,
        pattern=r"^(\*|https?://[^\s/,*]+)$",
        description="Browsers let pages of this origin use the API, e.g. https://ui.example.com; * for all",
    )
