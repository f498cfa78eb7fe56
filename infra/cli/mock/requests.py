"""What the mock endpoint accepts, endpoint by endpoint; anything else is refused as OpenAI refuses it.

Unknown parameters are ignored, as most servers do.
Source: https://platform.openai.com/docs/api-reference, the pages "Create" of each endpoint.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from msgspec import DecodeError, Meta, Struct, ValidationError, json

Json = dict[str, Any]
ChatRole = Literal["developer", "system", "user", "assistant", "tool", "function"]
InputRole = Literal["developer", "system", "user", "assistant"]
# A string, strings, tokens, or lists of tokens: msgspec reads one kind of array, `_check_kind` tells which.
Texts = str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
Choices = Annotated[int, Meta(ge=1, le=128)]


class Hints(Struct):
    """How this body wants to be answered."""

    status: int = 0
    latency: float | None = None
    fail_times: int = 0


class Request(Struct, kw_only=True):
    """What every endpoint takes."""

    model: str
    mock: Hints | None = None


RequestT = TypeVar("RequestT", bound=Request)


class Part(Struct):
    """A part of a message's content; only text is read."""

    type: str
    text: str = ""


class Message(Struct):
    """A message of a chat."""

    role: ChatRole
    content: str | list[Part] | None = None

    def __post_init__(self) -> None:
        # An assistant may have called a tool and said nothing.
        if self.content is None and self.role != "assistant":
            raise ValueError("Object missing required field `content`")


class Chat(Request, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    n: Choices | None = None


class Completion(Request, kw_only=True):
    prompt: Texts
    n: Choices | None = None

    def __post_init__(self) -> None:
        _check_kind("prompt", self.prompt)


class Embeddings(Request, kw_only=True):
    input: Texts
    dimensions: Annotated[int, Meta(ge=1, le=4_096)] | None = None
    encoding_format: Literal["float", "base64"] = "float"

    def __post_init__(self) -> None:
        _check_kind("input", self.input)


class Item(Struct):
    """An item of a response's input: a message, unless `type` names something else."""

    type: str = "message"
    role: InputRole | None = None
    content: str | list[Part] | None = None

    def __post_init__(self) -> None:
        if self.type == "message":
            for name in ("role", "content"):
                if getattr(self, name) is None:
                    raise ValueError(f"Object missing required field `{name}`")


class Response(Request, kw_only=True):
    """Also what the answer repeats of the request."""

    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: Json | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    temperature: float | None = None
    text: Json | None = None
    tool_choice: str | Json | None = None
    tools: list[Json] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None


class Moderation(Request, kw_only=True):
    model: str = "mock-moderation"
    input: str | Annotated[list[str | Json], Meta(min_length=1)]


class Invalid(Exception):
    """A request that is refused with 400: OpenAI's `message`, `code` and `param`."""

    def __init__(self, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param


def _check_kind(name: str, texts: Texts) -> None:
    """A list holds strings, tokens, or lists of tokens, but no mixture."""
    if isinstance(texts, list) and len({type(each) for each in texts}) > 1:
        raise ValueError(f"Expected `array of one type`, got `mixture` - at `$.{name}`")


def read(decoder: json.Decoder[RequestT], raw: bytes) -> RequestT:
    """The request in a body. Raises: Invalid."""
    try:
        return decoder.decode(raw)
    except ValidationError as error:
        raise _invalid(str(error)) from error
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid("We could not parse the JSON body of your request.") from error


PLACE = re.compile(r" - at `\$\.?(.*)`$")
MISSING = re.compile(r"missing required field `(\w+)`")
KINDS = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")


def _invalid(said: str) -> Invalid:
    """OpenAI's words for what msgspec found."""
    place = PLACE.search(said)
    param, reason = place[1] if place else "", PLACE.sub("", said)
    if missing := MISSING.search(said):
        param = f"{param}.{missing[1]}".lstrip(".")
        return Invalid(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    if not param:
        return Invalid(f"Invalid body: {reason}.")
    if kinds := KINDS.search(said):
        message = f"Invalid type for '{param}': expected {kinds[1]}, but got {kinds[2]} instead."
        return Invalid(message, "invalid_type", param)
    if reason.startswith("Expected `array` of length"):
        message = f"Invalid '{param}': empty array. Expected an array with minimum length 1."
        return Invalid(message, "empty_array", param)
    return Invalid(f"Invalid value for '{param}': {reason}.", "invalid_value", param)
