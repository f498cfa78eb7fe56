"""What commands print when the batch server returns an error or cannot be reached."""

import openai
from rich.markup import escape


def explain(error: openai.APIError, base_url: str | None) -> str:
    """Return a line in rich's markup."""
    if isinstance(error, openai.APIStatusError):
        return f"[red]the server returned {error.status_code}: {escape(error.message)}"
    return f"[red]cannot connect to {base_url or 'the server'}: {escape(str(error.__cause__ or error))}"
