"""Names what is wrong with settings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError


def describe(error: ValidationError, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each invalid value: its path, in which an upstream has its name, and the reason.

    Args:
        values: what was validated, to look up the names.
    """
    for each in error.errors(include_url=False, include_input=False):
        path = [part for part in each["loc"] if part != "settings"]
        if path[:1] == ["upstreams"] and len(path) > 1:
            path[1] = _name(values.get("upstreams"), path[1])
        reason = each["msg"].removeprefix("Value error, ")
        yield f"{'.'.join(map(str, path))}: {reason}" if path else reason


def _name(upstreams: Any, index: int | str) -> int | str:
    """The name of an upstream, or its index if it has none."""
    listed = isinstance(upstreams, Sequence) and isinstance(index, int) and index < len(upstreams)
    upstream = upstreams[index] if listed and isinstance(index, int) else None
    name = upstream.get("name") if isinstance(upstream, Mapping) else None
    return name if isinstance(name, str) and name else index
