"""Validation of request lines, with OpenAI's codes and messages: at most one error per line.

Source: https://platform.openai.com/docs/guides/batch and recorded answers of the live API.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from nightlane.domain.batch import BatchError
from nightlane.domain.endpoints import endpoint_of
from nightlane.domain.routing import Named, find_route
from nightlane.domain.utf8 import explain_line

MAX_ERRORS = 100
MAX_EMBEDDING_INPUTS = 50_000
# A worker decodes the line again, where Python's stack may already be deeper.
MAX_DEPTH = 200
# Messages quote a custom_id or a model, and all of a batch's errors must fit into one item of 400 KB.
MAX_QUOTED_CHARACTERS = 200
# Upstreams are asked about this many models of a batch, and the answers are remembered.
MAX_MODELS_ASKED = 100

_NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Invalid(Exception):
    """A line or a file is invalid: OpenAI's code, the message and the parameter."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class ModelChecker:
    """Finds the upstreams for the models of one batch.

    Args:
        upstreams: in the order in which they are tried.
        is_missing: whether a model's upstream says that it has no such model; called once for each.
        only_one: a second model is invalid.
    """

    def __init__(
        self, upstreams: Sequence[Named], is_missing: Callable[[str], bool], *, only_one: bool = False
    ) -> None:
        self._upstreams = upstreams
        self._is_missing = is_missing
        self._only_one = only_one
        self._first: str | None = None
        self._is_mixed = False
        self._found: dict[str, str | None] = {}

    @property
    def only_model(self) -> str | None:
        """The model of the batch; None if it has several, or none yet."""
        return None if self._is_mixed else self._first

    def upstream_by_default(self, model: str | None) -> str:
        """Return the upstream for a line that names no model: the one of the default, or else the first."""
        route = find_route(self._upstreams, model) if model is not None else None
        return route.upstream if route else self._upstreams[0].name

    def upstream_of(self, model: Any) -> str:
        """Return the name of the upstream that takes a model. Raises: Invalid."""
        if not isinstance(model, str) or not model:
            raise Invalid("invalid_request", "Model parameter is required.", "body.model")
        if self._first is None:
            self._first = model
        if model != self._first:
            if self._only_one:
                raise Invalid(
                    "mismatched_model",
                    f"The model '{_quoted(model)}' for this request does not match the rest of the batch. "
                    "Each batch must contain requests for a single model.",
                    "body.model",
                )
            self._is_mixed = True
        upstream = self._find(model)
        if upstream is None:
            message = f"The provided model '{_quoted(model)}' is not supported by the Batch API."
            raise Invalid("model_not_found", message, "body.model")
        return upstream

    def _find(self, model: str) -> str | None:
        if model in self._found:
            return self._found[model]
        route = find_route(self._upstreams, model)
        upstream = route.upstream if route else None
        if len(self._found) < MAX_MODELS_ASKED and len(model) <= MAX_QUOTED_CHARACTERS:
            if upstream is not None and self._is_missing(model):
                upstream = None
            self._found[model] = upstream
        return upstream


class CheckedLine(msgspec.Struct, frozen=True):
    """A valid line: the name of its upstream, and the request's body."""

    upstream: str
    body: dict[str, Any]


class LineChecker:
    """Checks the lines of one file, in order; remembers ids and models."""

    def __init__(self, endpoint: str, models: ModelChecker) -> None:
        self.endpoint = endpoint
        self._rules = endpoint_of(endpoint)
        self._models = models
        self._seen: set[bytes] = set()
        self._embedding_inputs = 0

    @property
    def model(self) -> str | None:
        """The model of all lines so far; None if they have several, or none."""
        return self._models.only_model

    def check(self, line: bytes) -> CheckedLine:
        """Check a line. Raises: Invalid."""
        request = _parse(line)
        for key in ("custom_id", "method", "url", "body"):
            if request.get(key) is None:
                raise Invalid("missing_required_parameter", f"Missing required parameter: '{key}'.", key)
        for key in ("custom_id", "method", "url"):
            _expect(request[key], str, key)
        body: dict[str, Any] = request["body"]
        _expect(body, dict, "body")
        self._check_envelope(request)
        return CheckedLine(self._check_body(body), body)

    def _check_envelope(self, request: dict[str, Any]) -> None:
        custom_id, method = request["custom_id"], request["method"]
        if method != "POST":
            message = f"Invalid value: '{_quoted(method)}'. Supported values are: 'POST'."
            raise Invalid("invalid_value", message, "method")
        digest = blake2b(custom_id.encode(errors="surrogatepass"), digest_size=16).digest()
        if digest in self._seen:
            raise Invalid(
                "duplicate_custom_id",
                f"The custom_id '{_quoted(custom_id)}' for this request is a duplicate of another request. "
                "The custom_id parameter must be unique for each request in a batch.",
                "custom_id",
            )
        self._seen.add(digest)
        if request["url"] != self.endpoint:
            message = (
                "The URL provided for this request does not match the batch endpoint: "
                f"'{_quoted(request['url'])}' is not '{self.endpoint}'."
            )
            raise Invalid("invalid_url", message, "url")

    def _check_body(self, body: dict[str, Any]) -> str:
        if body.get("stream"):
            title = f"{self._rules.title}: " if self._rules.title else ""
            message = f"{title}Streaming is not supported in the Batch API."
            raise Invalid("streaming_unsupported", message, "body.stream")
        model = body.get("model")
        if model is None and not self._rules.needs_model:
            upstream = self._models.upstream_by_default(self._rules.default_model)
        else:
            upstream = self._models.upstream_of(model)
        for names in self._rules.required:
            if all(body.get(name) is None for name in names):
                message = f"{names[0].capitalize()} parameter is required."
                raise Invalid("invalid_request", message, f"body.{names[0]}")
        if self._rules.inputs:
            self._count_embedding_inputs(body[self._rules.inputs])
        return upstream

    def _count_embedding_inputs(self, value: Any) -> None:
        is_many = isinstance(value, list) and value and not isinstance(value[0], int)
        self._embedding_inputs += len(value) if is_many else 1
        if self._embedding_inputs > MAX_EMBEDDING_INPUTS:
            message = f"The batch has more than {MAX_EMBEDDING_INPUTS} embedding inputs in total."
            raise Invalid("invalid_request", message, "body.input")


class ErrorList:
    """Collects the first hundred errors. The last one says how many more lines have errors."""

    def __init__(self) -> None:
        self._errors: list[BatchError] = []
        self._more = 0

    def add(self, error: Invalid, line: int | None = None) -> None:
        if len(self._errors) < MAX_ERRORS:
            self._errors.append(BatchError(error.code, error.message, error.param, line))
        else:
            self._more += 1

    def __bool__(self) -> bool:
        return bool(self._errors)

    def errors(self) -> tuple[BatchError, ...]:
        if not self._more:
            return tuple(self._errors)
        *first, last = self._errors
        message = f"{last.message} ({self._more} more lines have errors.)"
        return (*first, BatchError(last.code, message, last.param, last.line))


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        reason = explain_line(line)
        message = "This line is not parseable as valid JSON." + (f" {reason}" if reason else "")
        raise Invalid("invalid_json_line", message) from error
    if not isinstance(request, dict):
        message = f"This line is not a JSON object: it is {_NAMES[type(request)]}."
        raise Invalid("invalid_json_line", message)
    if _is_deeper(request, MAX_DEPTH):
        raise Invalid("invalid_json_line", f"This line is nested more than {MAX_DEPTH} levels deep.")
    return request


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        containers = (each for each in level if isinstance(each, dict | list))
        level = [
            child for each in containers for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def _expect(value: Any, kind: type, name: str) -> None:
    if not isinstance(value, kind):
        message = (
            f"Invalid type for '{name}': expected {_NAMES[kind]}, but got {_NAMES[type(value)]} instead."
        )
        raise Invalid("invalid_type", message, name)


def _quoted(text: str) -> str:
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"
