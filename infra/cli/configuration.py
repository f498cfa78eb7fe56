"""Reads the settings of `nightlane local` from all their sources."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nightlane.settings import PREFIX, Settings

from ..deploy.deployment import PLACEHOLDER_HOST, BadContext, Deployment

KEY, KEY_SECRET, URL = f"{PREFIX}UPSTREAM_KEY", f"{PREFIX}UPSTREAM_KEY_SECRET", f"{PREFIX}UPSTREAM_URL"
NO_UPSTREAM = {"upstreams": [{"url": f"https://{PLACEHOLDER_HOST}/v1"}]}


class InvalidSettings(Exception):
    """The name or the value of a setting is invalid; the message says which."""


def read_settings(
    defaults: Mapping[str, Any],
    config: Path | None,
    environment: Mapping[str, str],
    chosen: Mapping[str, str],
) -> Settings:
    """Merge the settings; later arguments take precedence.

    Args:
        config: a JSON file with the contents of `nightlane` in cdk.json.
        environment: only variables named `NIGHTLANE_<NAME>` are read.
        chosen: settings from the command line, by name.

    Raises:
        InvalidSettings
    """
    values = _variables(defaults)
    values |= _read(config) if config else {}
    values |= {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    values |= _variables(chosen)
    secret = values.pop(KEY_SECRET, None)
    if secret and not values.get(KEY):
        raise InvalidSettings(
            f"the upstream's key is in the AWS secret {secret!r}: pass --upstream-key or set {KEY}"
        )
    try:
        return Settings.from_environment(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        option = "--upstream" if name == "upstream_url" else "--set"
        raise InvalidSettings(f"{name} ({option} or {PREFIX}{name.upper()}): {problem['msg']}") from error


def _read(config: Path) -> dict[str, str]:
    """The settings in a config file. Those of a stack, such as alarms, are validated but have no effect."""
    try:
        context = json.loads(config.read_bytes())
        if isinstance(context, dict):
            deployment = Deployment.from_context(NO_UPSTREAM | context, on_aws=False)
        else:
            raise BadContext("nightlane: the file must contain a JSON object")
    except (OSError, ValueError, BadContext) as error:
        raise InvalidSettings(f"{config}: {error}") from error
    values = _variables(deployment.settings.model_dump(include=deployment.settings.model_fields_set))
    if "upstreams" in context:
        values[URL] = deployment.upstream.url
    if deployment.upstream.key_secret:
        values[KEY_SECRET] = deployment.upstream.key_secret
    return values


def _variables(settings: Mapping[str, Any]) -> dict[str, str]:
    return {PREFIX + name.upper(): str(value) for name, value in settings.items()}
