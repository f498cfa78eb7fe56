"""What commands that talk to a batch server have in common: its address, the key, and what errors print."""

from typing import Annotated

import openai
import typer
from rich.markup import escape

BaseUrl = Annotated[
    str | None, typer.Option(envvar="OPENAI_BASE_URL", help="Base URL of the batch server, with /v1.")
]
ApiKey = Annotated[str | None, typer.Option(envvar="OPENAI_API_KEY")]
NO_API_KEY = "[red]no API key: pass --api-key, or set OPENAI_API_KEY"


def explain(error: openai.APIError, base_url: str | None) -> str:
    """Return a line in rich's markup."""
    if isinstance(error, openai.APIStatusError):
        return f"[red]the server returned {error.status_code}: {escape(error.message)}"
    return f"[red]cannot connect to {base_url or 'the server'}: {escape(str(error.__cause__ or error))}"
