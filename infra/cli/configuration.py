"""The settings of `nightlane local`, from every place that may hold some."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.deploy.deployment import PLACEHOLDER_HOST, Deployment, InvalidContext
from nightlane.settings import PREFIX, Settings

KEY, KEY_SECRET, URL = f"{PREFIX}UPSTREAM_KEY", f"{PREFIX}UPSTREAM_KEY_SECRET", f"{PREFIX}UPSTREAM_URL"
NO_UPSTREAM = {"upstreams": [{"url": f"https://{PLACEHOLDER_HOST}/v1"}]}


class BadSettings(Exception):
    """A value, or the name of one, is invalid; the message says which."""


def read_settings(
    defaults: Mapping[str, Any],
    config: Path | None,
    environment: Mapping[str, str],
    chosen: Mapping[str, str],
) -> Settings:
    """The settings; what stands in a later place wins.

    Args:
        config: a file with the object that cdk.json has under `nightlane`.
        environment: only its `NIGHTLANE_<NAME>` are read.
        chosen: by name, on the command line.

    Raises:
        BadSettings
    """
    values = _variables(defaults)
    values |= _read(config) if config else {}
    values |= {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    values |= _variables(chosen)
    secret = values.pop(KEY_SECRET, None)
    if secret and not values.get(KEY):
        raise BadSettings(f"the upstream's key is AWS's secret {secret!r}: give --upstream-key or {KEY}")
    try:
        return Settings.from_environment(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise BadSettings(f"{name} (--set or {PREFIX}{name.upper()}): {problem['msg']}") from error


def _read(config: Path) -> dict[str, str]:
    """What a config file sets. What only a stack has, as alarms or a domain, is checked and means nothing."""
    try:
        context = json.loads(config.read_bytes())
        if isinstance(context, dict):
            deployment = Deployment.from_context(NO_UPSTREAM | context)
        else:
            raise InvalidContext("nightlane: the file needs an object")
    except (OSError, ValueError, InvalidContext) as error:
        raise BadSettings(f"{config}: {error}") from error
    values = _variables(deployment.settings.model_dump(include=deployment.settings.model_fields_set))
    if "upstreams" in context:
        values[URL] = deployment.upstream.url
    if deployment.upstream.key_secret:
        values[KEY_SECRET] = deployment.upstream.key_secret
    return values


def _variables(settings: Mapping[str, Any]) -> dict[str, str]:
    return {PREFIX + name.upper(): str(value) for name, value in settings.items()}
