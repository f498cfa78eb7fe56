"""nightlane upload: stores an input file of any size on an OpenAI-compatible batch server."""

from pathlib import Path
from typing import Annotated

import openai
import typer
from rich.console import Console

from .server_options import NO_API_KEY, ApiKey, BaseUrl, explain
from .uploading import upload_file

USAGE_ERROR = 2
SERVER_ERROR = 6


def upload(
    path: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the file object, not only its id.")] = False,
) -> None:
    """Upload the input file of a batch, in parts if it is large, and print the id of the file.

    Exit code: 0; 2 usage error; 6 a server error.
    """
    console = Console(stderr=True)
    if not api_key:
        console.print(NO_API_KEY)
        raise typer.Exit(USAGE_ERROR)
    try:
        with openai.OpenAI(base_url=base_url, api_key=api_key) as client:
            file = upload_file(client, path)
    except (openai.APIStatusError, openai.APIConnectionError) as error:
        console.print(explain(error, base_url))
        raise typer.Exit(SERVER_ERROR) from error
    typer.echo(file.to_json(indent=None) if as_json else file.id)
