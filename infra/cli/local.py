"""nightlane local: serves the Batch API on this machine."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from nightlane.domain.errors import StorageFull
from nightlane.upstream_settings import UpstreamSettings

from ..home.database import NoData, SchemaTooNew, shared_database
from ..home.defaults import HOME_DEFAULTS, USER_DATA
from ..home.files import SqliteKeys
from ..home.lock import DataInUse
from ..home.logs import log_to_stderr
from ..home.server import HomeServer
from .configuration import read_settings
from .errors import InvalidSettings
from .mock.process import MockUpstream
from .signals import end_signals

DEFAULT_KEY = "nightlane"
DEFAULT_TENANT = "default"
DEFAULT_KEYS = {DEFAULT_KEY: DEFAULT_TENANT}
USAGE_ERROR = 2
LOCALHOST = "127.0.0.1"
TEMPORARY = ":memory:"


def local(
    port: Annotated[int, typer.Option(help="0 chooses a free port.")] = 8080,
    upstream: Annotated[
        str | None, typer.Option(help="Base URL of an inference endpoint, with /v1. Default: a mock model.")
    ] = None,
    upstream_key: Annotated[
        list[str] | None,
        typer.Option(help="API key of the endpoint; with several upstreams, NAME=KEY for each."),
    ] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(help="KEY or TENANT=KEY; repeatable. Default: the stored keys, or else `nightlane`."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting as NAME=VALUE; repeatable.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="JSON file with the contents of `nightlane` in cdk.json."
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(help=f"Folder for all data; {TEMPORARY} deletes the data on exit."),
    ] = USER_DATA,
    host: Annotated[str, typer.Option(help="Address to listen on; others require an API key.")] = LOCALHOST,
    log_level: Annotated[str, typer.Option(help="Level of the log on standard error.")] = "warning",
) -> None:
    """Serve the Batch API on this machine, without an AWS account."""
    keys = _keys(api_key or [])
    if host != LOCALHOST and not keys and not _has_keys(data):
        raise typer.BadParameter(
            f"other machines can reach {host}: pass a key, or create one with `nightlane keys create --data`",
            param_hint="--api-key",
        )
    _log_to_stderr(log_level)
    chosen = dict(_chosen(set_ or [], upstream))
    try:
        settings = read_settings(HOME_DEFAULTS, config, os.environ, chosen, upstream_key or [])
    except InvalidSettings as error:
        raise typer.BadParameter(str(error)) from error
    with contextlib.ExitStack() as stack:
        wait_for_end = stack.enter_context(end_signals())
        if not settings.upstreams:
            mock = UpstreamSettings(name="mock", url=stack.enter_context(MockUpstream()).url)
            settings = settings.model_copy(update={"upstreams": (mock,)})
        is_temporary = str(data) == TEMPORARY
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="nightlane-"))) if is_temporary else data
        try:
            uses_default_key = not keys and not _has_keys(folder)
            keys = DEFAULT_KEYS if uses_default_key else keys
            server = HomeServer(settings, keys, folder, host=host, port=port)
            stack.enter_context(server)
        except (DataInUse, SchemaTooNew, StorageFull, OSError) as error:
            # An error of a socket has no file name.
            port_taken = isinstance(error, OSError) and error.filename is None
            what = f"serve on port {port}" if port_taken else "use the data"
            typer.echo(f"cannot {what}: {error}", err=True)
            raise typer.Exit(USAGE_ERROR) from error
        if uses_default_key:
            typer.echo(f"API key: {DEFAULT_KEY} (tenant {DEFAULT_TENANT})", err=True)
        typer.echo(f"data: {folder}" + (", deleted on exit" if is_temporary else ""), err=True)
        typer.echo(f"console: {server.base_url}/console", err=True)
        typer.echo(f"ready {server.base_url}")
        wait_for_end()


def _log_to_stderr(level: str) -> None:
    if level.upper() not in logging.getLevelNamesMapping():
        raise typer.BadParameter(f"'{level}' is not a log level", param_hint="--log-level")
    log_to_stderr(level.upper())


def _keys(given: Sequence[str]) -> dict[str, str]:
    """API key → tenant."""
    pairs = [text.split("=", 1) if "=" in text else [DEFAULT_TENANT, text] for text in given]
    if any(not tenant or not key for tenant, key in pairs):
        raise typer.BadParameter("must be KEY or TENANT=KEY", param_hint="--api-key")
    return {key: tenant for tenant, key in pairs}


def _has_keys(data: Path) -> bool:
    """Whether the folder has stored keys. Raises: DataInUse, SchemaTooNew."""
    with contextlib.suppress(NoData), shared_database(data) as database:
        return any(SqliteKeys(database).list_keys())
    return False


def _chosen(given: Sequence[str], upstream: str | None) -> Iterator[tuple[str, str]]:
    """Settings by name, from the options; `--set` takes precedence."""
    if upstream is not None:
        yield "upstream_url", upstream
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--set")
        yield name, value
