"""The base of all groups of settings: how they are read from an environment and written to one."""

import json
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict

PREFIX = "NIGHTLANE_"


def setting_text(value: Any) -> str:
    """Return the value of a setting as it is in an environment variable."""
    is_json = isinstance(value, list | dict)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if is_json else str(value)


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
        values = self.model_dump(mode="json", exclude_defaults=True)
        return {PREFIX + name.upper(): setting_text(value) for name, value in values.items()}

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
