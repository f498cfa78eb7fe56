"""Reads what is to be deployed: cdk.json, or another file like it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...deploy.deployment import BadContext, Deployment
from ..errors import CommandError

NAME = "nightlane"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration, and where it is from."""

    path: Path
    deployment: Deployment
    context: Mapping[str, str]
    """The CDK's context, as its command line takes it."""


def read_configuration(path: Path) -> Configuration:
    """Read a file like cdk.json, or one with the contents of `nightlane` in it.

    Raises:
        CommandError: it cannot be read, or a value is invalid; the message has a line for each.
    """
    try:
        read = json.loads(path.read_bytes())
        if not isinstance(read, dict):
            raise CommandError(f"{path}: it must contain a JSON object")
        context: Any = read.get("context", {}) if "context" in read or "app" in read else {NAME: read}
        deployment = Deployment.from_context(context.get(NAME) if isinstance(context, dict) else None)
    except (OSError, ValueError, BadContext) as error:
        raise CommandError(f"{path}: {error}") from error
    as_text = {name: each if isinstance(each, str) else json.dumps(each) for name, each in context.items()}
    return Configuration(path, deployment, as_text)
