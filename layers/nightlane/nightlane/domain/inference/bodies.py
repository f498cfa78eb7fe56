"""What is read of an upstream's body; the rest of it passes through as it came."""

from typing import Any

import msgspec

from nightlane.domain.inference.tolerant_json import read


class Body(msgspec.Struct, frozen=True):
    """A body as a JSON object on one line, and what Nightlane wants to know of it."""

    line: bytes = b""
    """Empty if the body is not a JSON object to anybody."""
    has_error: bool = False
    error_code: str | int | None = None
    message: str = ""
    """The error's words; the beginning of a body that is not JSON."""
    usage: Any = None
    model: str | None = None

    @property
    def is_object(self) -> bool:
        return bool(self.line)


def read_body(raw: bytes) -> Body:
    """Read an answer's body, whatever it is."""
    found = read(raw)
    if found is None or not isinstance(found[1], dict):
        return Body(message=raw[:1000].decode(errors="replace").strip())
    line, value = found
    usage, model = value.get("usage"), value.get("model")
    if not isinstance(model, str):
        model = None
    error = _error_of(value)
    if error is None:
        return Body(line, usage=usage, model=model or None)
    code, message = _said(error)
    return Body(line, True, code, message, usage, model or None)


def _error_of(value: dict[str, Any]) -> Any:
    """The error in a body: OpenAI's, older vLLM's (`"object": "error"`), or that of a choice."""
    if error := value.get("error"):
        return error
    if value.get("object") == "error":
        return {"message": value.get("message"), "code": value.get("code")}
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and (choice.get("error") or choice.get("finish_reason") == "error"):
            return choice.get("error") or {"message": "the generation ended with an error"}
    return None


def _said(error: Any) -> tuple[str | int | None, str]:
    if not isinstance(error, dict):
        return None, str(error) if error else ""
    code, message = error.get("code") or error.get("type"), error.get("message")
    return code if isinstance(code, str | int) else None, message if isinstance(message, str) else str(error)
