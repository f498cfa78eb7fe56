"""Prints the results of a batch while it runs, from Nightlane's `/results`; other servers do not have it."""

import sys
from typing import Any, TextIO

import openai
from openai import HttpxBinaryResponseContent
from rich.console import Console


class Results:
    """Prints each result line once, in the order in which the server returns them."""

    def __init__(self, client: openai.OpenAI, batch_id: str, console: Console, out: TextIO = sys.stdout):
        self._client, self._path = client, f"/batches/{batch_id}/results"
        self._console, self._out = console, out
        self._after: str | None = None
        self._is_incomplete = True

    def print_new(self) -> None:
        """Print what was committed since the last call."""
        while self._is_incomplete and self._print_page():
            pass

    def print_rest(self) -> None:
        """Print everything that was not printed yet, of a batch that has ended."""
        while self._is_incomplete:
            self._print_page()

    def _print_page(self) -> bool:
        """Print the next page; False if it was empty."""
        query: Any = {"after": self._after} if self._after else {}
        try:
            page = self._client.get(self._path, cast_to=HttpxBinaryResponseContent, options={"params": query})
        except openai.NotFoundError:
            self._console.print("[yellow]this server does not show results while a batch runs")
            self._is_incomplete = False
            return False
        headers = page.response.headers
        self._after, self._is_incomplete = headers["X-Last-Line"], headers["X-Incomplete"] == "true"
        self._out.write(page.text)
        self._out.flush()
        return bool(page.text)
