"""nightlane local"""

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import ValidationError

from infra.cli.signals import wait_for_end
from infra.local.home import LOCAL_DEFAULTS, LocalHome
from infra.local.mock_process import MockUpstream
from nightlane.settings import PREFIX, Settings

DEFAULT_KEY = "nightlane"
DEFAULT_TENANT = "default"
USAGE_ERROR = 2


def local(
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8080,
    upstream: Annotated[
        str | None, typer.Option(help="Base URL of an inference endpoint, with /v1; else a mock model.")
    ] = None,
    upstream_key: Annotated[str | None, typer.Option(help="Its bearer key.")] = None,
    api_key: Annotated[
        list[str] | None, typer.Option(help="KEY or TENANT=KEY; may be given often. Else: nightlane.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of a setting; may be given often.")
    ] = None,
) -> None:
    """Serve the Batch API on this machine: the deployed handlers on moto, no AWS account."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    keys = _keys(api_key or [])
    with contextlib.ExitStack() as stack:
        url = upstream or stack.enter_context(MockUpstream()).url
        settings = _settings(set_ or [], url, upstream_key)
        try:
            home = stack.enter_context(LocalHome(settings, keys, port))
        except OSError as error:
            typer.echo(f"cannot serve on port {port}: {error.strerror or error}", err=True)
            raise typer.Exit(USAGE_ERROR) from error
        if not api_key:
            typer.echo(f"API key: {DEFAULT_KEY} (tenant {DEFAULT_TENANT})", err=True)
        typer.echo(f"ready {home.base_url}")
        wait_for_end()


def _keys(given: Sequence[str]) -> dict[str, str]:
    """API key → tenant."""
    pairs = [text.split("=", 1) if "=" in text else [DEFAULT_TENANT, text] for text in given]
    if any(not tenant or not key for tenant, key in pairs):
        raise typer.BadParameter("an API key is KEY or TENANT=KEY", param_hint="--api-key")
    return {key: tenant for tenant, key in pairs} or {DEFAULT_KEY: DEFAULT_TENANT}


def _settings(given: Sequence[str], upstream_url: str, upstream_key: str | None) -> Settings:
    """Local defaults, then the environment, then `--set`."""
    values = {PREFIX + name.upper(): str(value) for name, value in LOCAL_DEFAULTS.items()}
    values |= {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    values[f"{PREFIX}UPSTREAM_URL"] = upstream_url
    if upstream_key is not None:
        values[f"{PREFIX}UPSTREAM_KEY"] = upstream_key
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--set")
        values[PREFIX + name.upper()] = value
    try:
        return Settings.from_environment(values)
    except ValidationError as error:
        problem = error.errors()[0]
        message = f"{problem['loc'][0]}: {problem['msg']}"
        raise typer.BadParameter(message, param_hint="--set or the environment") from error
