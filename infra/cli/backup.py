"""nightlane backup: copies a data folder."""

import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from ..home.backup import TargetNotEmpty, back_up
from ..home.database import NoData
from ..home.defaults import USER_DATA

FAILED = 1


def backup(
    target: Annotated[Path, typer.Argument(metavar="DEST", file_okay=False, help="A new or empty folder.")],
    data: Annotated[
        Path, typer.Option(help="The data folder of `nightlane local`; it may be running.")
    ] = USER_DATA,
) -> None:
    """Back up the data of `nightlane local`, even while it runs. Serve the copy with --data DEST."""
    try:
        made = back_up(data, target)
    except (NoData, TargetNotEmpty, OSError, sqlite3.Error) as error:
        typer.echo(f"backup failed: {error}", err=True)
        raise typer.Exit(FAILED) from error
    typer.echo(f"{target}: {made.objects:,} objects, {made.size:,} bytes")
