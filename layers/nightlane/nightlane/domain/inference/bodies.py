"""What Nightlane reads from an upstream's body; everything else is passed through unchanged."""

from typing import Any

import msgspec

from nightlane.domain.inference.tolerant_json import read


class Body(msgspec.Struct, frozen=True):
    """A body as a JSON object on one line, and the values that Nightlane uses."""

    line: bytes = b""
    """Empty if no common parser reads the body as a JSON object."""
    has_error: bool = False
    error_code: str | int | None = None
    message: str = ""
    """The error's message, or the beginning of a body that is not JSON."""
    usage: Any = None
    model: str | None = None

    @property
    def is_object(self) -> bool:
        return bool(self.line)


def read_body(raw: bytes) -> Body:
    """Read the body of an answer. Any bytes are accepted."""
    parsed = read(raw)
    if parsed is None or not isinstance(parsed[1], dict):
        return Body(message=raw[:1000].decode(errors="replace").strip())
    line, value = parsed
    usage, model = value.get("usage"), value.get("model")
    if not isinstance(model, str):
        model = None
    error = _find_error(value)
    if error is None:
        return Body(line, usage=usage, model=model or None)
    code, message = _code_and_message(error)
    return Body(line, True, code, message, usage, model or None)


def _find_error(value: dict[str, Any]) -> Any:
    """Return the error in a body, if any: OpenAI's, older vLLM's (`"object": "error"`), or a choice's."""
    if error := value.get("error"):
        return error
    if value.get("object") == "error":
        return {"message": value.get("message"), "code": value.get("code")}
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and (choice.get("error") or choice.get("finish_reason") == "error"):
            return choice.get("error") or {"message": "the generation ended with an error"}
    return None


def _code_and_message(error: Any) -> tuple[str | int | None, str]:
    if not isinstance(error, dict):
        return None, str(error) if error else ""
    code, message = error.get("code") or error.get("type"), error.get("message")
    return code if isinstance(code, str | int) else None, message if isinstance(message, str) else str(error)
