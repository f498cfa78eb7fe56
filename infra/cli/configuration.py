"""Reads the settings of `nightlane local` from all their sources."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nightlane.settings import Settings
from nightlane.settings_group import PREFIX, setting_text

from ..deploy.deployment import BadContext, Deployment
from ..settings_errors import describe
from .errors import InvalidSettings
from .upstream_keys import with_keys

# The short form of a list of one upstream.
URL = f"{PREFIX}UPSTREAM_URL"
# The variable of the only upstream's key. With the name of one appended, it has the key of that upstream.
KEY = f"{PREFIX}UPSTREAM_KEY"
UPSTREAMS = f"{PREFIX}UPSTREAMS"


def read_settings(
    defaults: Mapping[str, Any],
    config: Path | None,
    environment: Mapping[str, str],
    chosen: Mapping[str, str],
    keys: Sequence[str] = (),
) -> Settings:
    """Merge the settings; later arguments take precedence.

    Args:
        config: a JSON file with the contents of `nightlane` in cdk.json.
        environment: only variables named `NIGHTLANE_<NAME>` are read.
        chosen: settings from the command line, by name.
        keys: of upstreams, as KEY or NAME=KEY.

    Raises:
        InvalidSettings
    """
    values = _variables(defaults.items())
    values |= _read(config) if config else {}
    values |= {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    values |= _variables(chosen.items())
    given = {name: values.pop(name) for name in [*values] if name == KEY or name.startswith(f"{KEY}_")}
    if url := values.pop(URL, None):
        values[UPSTREAMS] = json.dumps([{"url": url}])
    try:
        settings = Settings.from_environment(values)
    except ValidationError as error:
        problem = next(iter(describe(error, {"upstreams": _parsed(values.get(UPSTREAMS))})))
        name = problem.partition(":")[0].partition(".")[0]
        option = "--upstream or --config" if name == "upstreams" else f"--set or {PREFIX}{name.upper()}"
        raise InvalidSettings(f"{problem} ({option})") from error
    by_name = {name.removeprefix(KEY).removeprefix("_"): key for name, key in given.items()}
    return settings.model_copy(update={"upstreams": with_keys(settings.upstreams, by_name, keys)})


def _read(config: Path) -> dict[str, str]:
    """The settings in a config file. Those of a stack, such as alarms, are validated but have no effect."""
    try:
        context = json.loads(config.read_bytes())
        if not isinstance(context, dict):
            raise BadContext("nightlane: the file must contain a JSON object")
        settings = Deployment.from_context(context, on_aws=False).settings
    except (OSError, ValueError, BadContext) as error:
        raise InvalidSettings(f"{config}: {error}") from error
    return _variables(settings.model_dump(mode="json", include=settings.model_fields_set).items())


def _variables(settings: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {PREFIX + name.upper(): setting_text(value) for name, value in settings}


def _parsed(upstreams: str | None) -> Any:
    try:
        return json.loads(upstreams or "null")
    except ValueError:
        return None
