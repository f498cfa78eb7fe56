"""What the mock endpoint accepts, by endpoint; anything else is rejected with OpenAI's error.

Unknown parameters are ignored, as most servers do.
Source: https://platform.openai.com/docs/api-reference, the pages "Create" of each endpoint.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from msgspec import DecodeError, Meta, Struct, ValidationError, json

Json = dict[str, Any]
ChatRole = Literal["developer", "system", "user", "assistant", "tool", "function"]
InputRole = Literal["developer", "system", "user", "assistant"]
# A string, or a list of strings, tokens or lists of tokens. msgspec allows a mixture; `_check_kind` does not.
Texts = str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
Choices = Annotated[int, Meta(ge=1, le=128)]


class Hints(Struct):
    """How the mock must answer this body."""

    status: int = 0
    latency: float | None = None
    fail_times: int = 0


class Request(Struct, kw_only=True):
    """The parameters of every endpoint."""

    model: str
    mock: Hints | None = None


RequestT = TypeVar("RequestT", bound=Request)


class Part(Struct):
    """A part of a message's content; only text is read."""

    type: str
    text: str = ""


class Message(Struct):
    """A chat message."""

    role: ChatRole
    content: str | list[Part] | None = None

    def __post_init__(self) -> None:
        # An assistant message may be only a tool call.
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
    """Includes the parameters that the response repeats."""

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


class ImageGeneration(Request, kw_only=True):
    model: str = "mock-image"
    prompt: str
    n: Annotated[int, Meta(ge=1, le=10)] | None = None


class ImageEdit(ImageGeneration, kw_only=True):
    """In JSON, as in a batch: `images` are objects with an `image_url` or a `file_id`."""

    images: Annotated[list[Json], Meta(min_length=1)] | None = None
    image: str | Json | list[str | Json] | None = None

    def __post_init__(self) -> None:
        if self.images is None and self.image is None:
            raise ValueError("Object missing required field `images`")


class Invalid(Exception):
    """A request that gets 400, with OpenAI's `message`, `code` and `param`."""

    def __init__(self, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param


def _check_kind(name: str, texts: Texts) -> None:
    """Raise ValueError if a list mixes strings, tokens and lists of tokens."""
    if isinstance(texts, list) and len({type(each) for each in texts}) > 1:
        raise ValueError(f"Expected `array of one type`, got `mixture` - at `$.{name}`")


def read(decoder: json.Decoder[RequestT], raw: bytes) -> RequestT:
    """Parse a request body. Raises: Invalid."""
    try:
        return decoder.decode(raw)
    except ValidationError as error:
        raise _invalid(str(error)) from error
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid("We could not parse the JSON body of your request.") from error


PLACE = re.compile(r" - at `\$\.?(.*)`$")
MISSING = re.compile(r"missing required field `(\w+)`")
KINDS = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")


def _invalid(text: str) -> Invalid:
    """msgspec's error in OpenAI's words."""
    place = PLACE.search(text)
    param, reason = place[1] if place else "", PLACE.sub("", text)
    if missing := MISSING.search(text):
        param = f"{param}.{missing[1]}".lstrip(".")
        return Invalid(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    if not param:
        return Invalid(f"Invalid body: {reason}.")
    if kinds := KINDS.search(text):
        message = f"Invalid type for '{param}': expected {kinds[1]}, but got {kinds[2]} instead."
        return Invalid(message, "invalid_type", param)
    if reason.startswith("Expected `array` of length"):
        message = f"Invalid '{param}': empty array. Expected an array with minimum length 1."
        return Invalid(message, "empty_array", param)
    return Invalid(f"Invalid value for '{param}': {reason}.", "invalid_value", param)
