"""nightlane estimate: checks an input file without a server, and estimates its cost and duration."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nightlane.api_settings import KIB, EstimateSettings
from nightlane.aws.estimates import Expected, Requests, expect
from nightlane.domain.batch import BatchError
from nightlane.domain.endpoints import ENDPOINTS
from nightlane.domain.line_checks import ErrorList, Invalid, LineChecker, ModelChecker
from nightlane.domain.ordering import arrange
from nightlane.domain.reading import ReadInput, check_size, read_input
from nightlane.settings import Settings
from nightlane.upstream_settings import UpstreamSettings

from .configuration import read_settings
from .errors import InvalidSettings
from .first_url import first_url

INVALID = 1
CHUNK_BYTES = 256 * KIB
# Takes every model, as a stack with one upstream does.
ANY_UPSTREAM = UpstreamSettings(url="http://127.0.0.1/v1")


def estimate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSONL of requests.")],
    endpoint: Annotated[str | None, typer.Option(help="Default: the `url` of the first line.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Requests in flight. Default: the setting.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.001, help="How long a request takes, on average.")] = 5.0,
    answer_bytes: Annotated[int, typer.Option(min=1, help="Bytes of an answer, on average.")] = 4_000,
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="JSON file with the contents of `nightlane` in cdk.json."
        ),
    ] = None,
) -> None:
    """Check an input file without a server, and estimate what it would cost on AWS and how long it takes.

    Exits with 1 if the file is invalid. Whether the endpoint has the models is not checked.
    """
    settings = _settings(config, limit)
    try:
        errors, found = _read(file, endpoint or first_url(file), settings)
    except Invalid as error:
        errors, found = (BatchError(error.code, error.message, error.param),), None
    if errors or found is None:
        for each in errors:
            place = f"{file}:{each.line}" if each.line else str(file)
            typer.echo(f"{place}: {each.message} ({each.code})", err=True)
        raise typer.Exit(INVALID)
    upstreams = {group.route for group in found.grouping.groups()}
    requests = Requests(len(found.lines), found.request_bytes, seconds, answer_bytes)
    _show(file, found, expect(EstimateSettings.of(settings), upstreams, requests), seconds)


def _settings(config: Path | None, limit: int | None) -> Settings:
    chosen = {} if limit is None else {"max_concurrent_requests_per_batch": str(limit)}
    try:
        settings = read_settings({}, config, os.environ, chosen)
    except InvalidSettings as error:
        raise typer.BadParameter(str(error)) from error
    return settings if settings.upstreams else settings.model_copy(update={"upstreams": (ANY_UPSTREAM,)})


def _read(file: Path, endpoint: str | None, settings: Settings) -> tuple[tuple[BatchError, ...], ReadInput]:
    """Read a file as planning does. Raises: Invalid."""
    endpoints = (*ENDPOINTS, *settings.extra_endpoints)
    if endpoint is not None and endpoint not in endpoints:
        raise Invalid("invalid_value", f"Invalid endpoint: '{endpoint}'. There are {', '.join(endpoints)}.")
    check_size(settings, file.stat().st_size)
    models = ModelChecker(settings.upstreams, lambda _: False, only_one=settings.one_model_per_batch)
    errors = ErrorList()
    # If the first line has no endpoint, it is invalid for every endpoint.
    checker = LineChecker(endpoint or next(iter(ENDPOINTS)), models)
    found = read_input(settings, _chunks(file), checker, errors)
    return errors.errors() if errors else (), found


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _show(file: Path, read: ReadInput, estimated: Expected, seconds: float) -> None:
    console, run = Console(), estimated.run
    lanes, shards, prefixes = len(run.lanes), len(run.shards), len(arrange(read.grouping.groups()).routes)
    console.print(
        f"{file} is valid: {run.lines:,} requests, {read.request_bytes:,} bytes, "
        f"about {read.prompt_tokens:,} prompt tokens",
        soft_wrap=True,
    )
    console.print(
        f"about {_duration(run.seconds)} with {estimated.requests_in_flight:,} requests in flight "
        f"of {seconds:g} s each (lanes: {lanes}, shards: {shards}, prompt prefixes: {prefixes})",
        soft_wrap=True,
    )
    table = Table("on AWS", "requests", "US dollars", title="What this batch would cost")
    table.columns[1].justify = table.columns[2].justify = "right"
    for cost in estimated.costs:
        table.add_row(cost.item, f"{cost.requests:,.0f}", f"{cost.dollars:.7f}")
    table.add_section()
    table.add_row("total", f"{run.lines:,} lines", f"{sum(cost.dollars for cost in estimated.costs):.7f}")
    console.print(table)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
