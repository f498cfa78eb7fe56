"""The mapping from validation errors to OpenAI's errors: code, parameter and message."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from nightlane.domain.errors import BadRequest
from nightlane.domain.file import UPLOADABLE
from nightlane.domain.ids import shorten

SUPPORTED: Mapping[str, tuple[str, ...]] = {
    "purpose": tuple(purpose.value for purpose in UPLOADABLE),
    "order": ("asc", "desc"),
}


def bad_request(problem: ErrorDetails) -> BadRequest:
    """Return the error of a parameter that pydantic refused."""
    name = _param(problem["loc"])
    code, message = _explain(problem, name)
    return BadRequest(message, code=code, param=name or None)


def _param(location: tuple[int | str, ...]) -> str:
    if location[-1:] == ("[key]",):
        # The key itself is what is wrong, and may be of any length.
        location = location[:-2]
    return shorten(".".join(str(part) for part in location))


def _explain(problem: ErrorDetails, name: str) -> tuple[str, str]:
    kind, context, value = problem["type"], problem.get("ctx", {}), problem["input"]
    match kind:
        case "missing":
            return "missing_required_parameter", f"Missing required parameter: '{name}'."
        case "extra_forbidden":
            return "unknown_parameter", f"Unknown parameter: '{name}'."
        case "literal_error" | "unsupported_value" if isinstance(value, str):
            supported = context.get("supported") or list_values(SUPPORTED.get(name, ("created_at",)))
            return "invalid_value", _invalid_value(name, value, supported)
        case "string_too_long" if problem["loc"][-1] == "[key]":
            return "property_name_above_max_length", (
                f"Invalid 'metadata': property name too long. Expected a property name with maximum length "
                f"{context['max_length']}, but got one with length {len(value)} instead."
            )
        case "string_too_long":
            return "string_above_max_length", (
                f"Invalid '{name}': string too long. Expected a string with maximum length "
                f"{context['max_length']}, but got a string with length {len(value)} instead."
            )
        case "string_too_short":
            return "string_below_min_length", (
                f"Invalid '{name}': empty string. Expected a string with minimum length "
                f"{context['min_length']}, but got an empty string instead."
            )
        case "too_long":
            return "object_above_max_properties", (
                f"Invalid '{name}': too many properties. Expected an object with at most "
                f"{context['max_length']} properties, but got an object with {len(value)} properties instead."
            )
        case "less_than_equal":
            return "integer_above_max_value", (
                f"Invalid '{name}': integer above maximum value. "
                f"Expected a value <= {context['le']}, but got {value} instead."
            )
        case "greater_than_equal":
            return "integer_below_min_value", (
                f"Invalid '{name}': integer below minimum value. "
                f"Expected a value >= {context['ge']}, but got {value} instead."
            )
    return "invalid_type", (
        f"Invalid type for '{name}': expected {_expected(kind)}, but got {_kind_of(value)} instead."
        if name
        else "Invalid body: expected a JSON object."
    )


def _invalid_value(name: str, value: str, supported: str) -> str:
    # The official clients show only the message, so it contains the code and the parameter, too.
    return f"Invalid value: '{shorten(value)}'. Supported {supported}. (invalid_value for {name})"


def list_values(values: Sequence[str]) -> str:
    """Return the end of OpenAI's message: `values are: 'a', and 'b'`."""
    *first, last = [f"'{each}'" for each in values]
    return f"values are: {', '.join(first)}, and {last}" if first else f"value is: {last}"


def _expected(kind: str) -> str:
    if kind.startswith(("int", "greater", "less")):
        return "an integer"
    if kind.startswith("list"):
        return "an array"
    if kind.startswith(("dict", "model")):
        return "an object"
    return "a string"


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds: tuple[tuple[type, str], ...] = (
        (str, "a string"),
        (int, "an integer"),
        (float, "a number"),
        (list, "an array"),
        (dict, "an object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
