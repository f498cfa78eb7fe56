"""Which upstream a model belongs to, and its name there."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

import msgspec

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
# A string with what follows it, if that makes it a key, or a bracket.
_TOKEN = re.compile(rb"(" + _STRING + rb")(\s*:\s*)?|[\[{]|[\]}]", re.DOTALL)
_VALUE = re.compile(_STRING, re.DOTALL)
_WILDCARDS = re.compile(r"[*?\[]")


class Named(Protocol):
    """The part of an upstream's settings that routing reads."""

    @property
    def name(self) -> str: ...
    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def rewrite(self) -> Mapping[str, str]: ...


class Route(msgspec.Struct, frozen=True):
    """The name of an upstream, and the name that it has for a model."""

    upstream: str
    model: str


def find_route(upstreams: Sequence[Named], model: str) -> Route | None:
    """The first upstream that takes the model; None if there is none. Patterns are case-sensitive."""
    for each in upstreams:
        if takes(each, model):
            return Route(each.name, each.rewrite.get(model, model))
    return None


def takes(upstream: Named, model: str) -> bool:
    """Whether the upstream takes a model: it has another name for it, or one of its patterns matches."""
    return model in upstream.rewrite or any(fnmatchcase(model, pattern) for pattern in upstream.models)


def literal_names(upstream: Named) -> list[str]:
    """The models that the operator named without wildcards."""
    return [*upstream.rewrite, *(each for each in upstream.models if not _WILDCARDS.search(each))]


def first_unreachable(upstreams: Sequence[Named]) -> Named | None:
    """The first upstream all of whose models are certain to go to earlier ones; None if there is none."""
    for number, upstream in enumerate(upstreams):
        earlier = upstreams[:number]
        wanted = [*literal_names(upstream), *filter(_WILDCARDS.search, upstream.models)]
        if all(any(_covers(other, pattern) for other in earlier) for pattern in wanted):
            return upstream
    return None


def _covers(earlier: Named, pattern: str) -> bool:
    """Whether it certainly takes every model that a pattern of a later upstream matches."""
    if not _WILDCARDS.search(pattern):
        return takes(earlier, pattern)
    for each in earlier.models:
        if each in (pattern, "*"):
            return True
        # If the only wildcard of a pattern is `*`, it covers what it matches as text, wildcards included.
        if not set("?[") & set(each) and "[" not in pattern and fnmatchcase(pattern, each):
            return True
    return False


class _Model(msgspec.Struct):
    model: Any = None


def rewrite_model(body: bytes, names: Mapping[str, str]) -> bytes:
    """Replace the value of `model` in a JSON object by the upstream's name for it; nothing else changes.

    If the key is repeated, the last value decides, as in most parsers, and all of them are replaced, so that
    every parser reads the same one.

    Raises:
        ValueError: the body is not JSON.
    """
    model = msgspec.json.decode(body, type=_Model).model
    name = names.get(model) if isinstance(model, str) else None
    if name is None:
        return body
    parts, end = [], 0
    for start, stop in _model_values(body):
        parts += [body[end:start], json.dumps(name).encode()]
        end = stop
    return b"".join([*parts, body[end:]])


def _model_values(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the string values of the top-level key `model` begin and end."""
    depth = 0
    for token in _TOKEN.finditer(body):
        text, colon = token.groups()
        if text is None:
            depth += 1 if token[0] in b"[{" else -1
        elif depth == 1 and colon is not None and json.loads(text) == "model":
            value = _VALUE.match(body, token.end())
            if value is not None:
                yield value.span()
