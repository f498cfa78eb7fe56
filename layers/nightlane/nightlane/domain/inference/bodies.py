"""What is read of an upstream's body; the rest of it passes through as it came."""

from dataclasses import dataclass
from typing import Any

import msgspec

from nightlane.domain.inference.tolerant_json import tidy


@dataclass(frozen=True, slots=True)
class Body:
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


class _Choice(msgspec.Struct):
    error: Any = None
    finish_reason: Any = None


class _Envelope(msgspec.Struct):
    """Everything else is skipped: a choice's text, a vector's numbers."""

    object: Any = None
    error: Any = None
    message: Any = None
    code: Any = None
    model: Any = None
    usage: Any = None
    choices: list[_Choice] | None = None


_SIMPLE_FIELDS = frozenset(_Envelope.__struct_fields__) - {"choices"}
_decode = msgspec.json.Decoder(_Envelope).decode


def read_body(raw: bytes) -> Body:
    """Read an answer's body, whatever it is."""
    line = tidy(raw)
    if line is None or line[:1] != b"{":
        return Body(message=raw[:1000].decode(errors="replace").strip())
    envelope = _envelope(line)
    error = _error_of(envelope)
    code, message = _said(error)
    return Body(
        line=line,
        has_error=error is not None,
        error_code=code,
        message=message,
        usage=envelope.usage,
        model=envelope.model if isinstance(envelope.model, str) and envelope.model else None,
    )


def _envelope(line: bytes) -> _Envelope:
    try:
        return _decode(line)
    except msgspec.ValidationError:
        # Its choices are not what a chat's are: none is looked at.
        fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        known = {name: raw for name, raw in fields.items() if name in _SIMPLE_FIELDS}
        return _Envelope(**{name: msgspec.json.decode(raw) for name, raw in known.items()})


def _error_of(envelope: _Envelope) -> Any:
    """The error in a body: OpenAI's, older vLLM's (`"object": "error"`), or that of a choice."""
    if envelope.error:
        return envelope.error
    if envelope.object == "error":
        return {"message": envelope.message, "code": envelope.code}
    for choice in envelope.choices or ():
        if choice.error or choice.finish_reason == "error":
            return choice.error or {"message": "the generation ended with an error"}
    return None


def _said(error: Any) -> tuple[str | int | None, str]:
    if not isinstance(error, dict):
        return None, str(error) if error else ""
    code, message = error.get("code") or error.get("type"), error.get("message")
    return code if isinstance(code, str | int) else None, message if isinstance(message, str) else str(error)
