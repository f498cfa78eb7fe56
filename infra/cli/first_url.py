"""Finds out what an input file is for."""

import json
from pathlib import Path


def first_url(path: Path) -> str | None:
    """The `url` of the first request of an input file; None if it has none."""
    with path.open("rb") as lines:
        try:
            first = next(line for line in lines if line.strip(b" \t\r\n\xef\xbb\xbf"))
            return str(json.loads(first.decode("utf-8-sig"))["url"])
        except (StopIteration, ValueError, KeyError, TypeError):
            return None
