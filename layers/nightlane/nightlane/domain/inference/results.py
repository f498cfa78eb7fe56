"""From an upstream's answer to a result line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from nightlane.domain.batch import Usage
from nightlane.domain.inference.ports import Answer
from nightlane.domain.lines import LineError, error_line, response_line
from nightlane.domain.parts import Record

NO_USAGE = Usage()
LARGEST_COUNT = 10**12


@dataclass(frozen=True, slots=True)
class Result:
    """A finished line: what goes into the part and into the counts."""

    record: Record
    usage: Usage = NO_USAGE
    model: str | None = None


def result_of(line: int, result_id: str, custom_id: str, answer: Answer) -> Result:
    """2xx is an output line, everything else an error line with the response as it was."""
    ok = 200 <= answer.status < 300
    status, raw, body = answer.status, answer.body, _json_object(answer.body)
    if body is None:
        ok, status = False, status if not ok else 502
        body = _wrapped(answer)
        raw = msgspec.json.encode(body)
    elif b"\n" in raw or b"\r" in raw:
        raw = msgspec.json.format(raw, indent=-1).replace(b"\r", b"")
    data = response_line(result_id, custom_id, status, answer.request_id, raw)
    if not ok:
        return Result(Record(line, False, data))
    model = body.get("model")
    return Result(
        Record(line, True, data),
        _usage(body.get("usage")),
        model if isinstance(model, str) and model else None,
    )


def unanswered(line: int, result_id: str, custom_id: str, error: LineError) -> Result:
    """The error line of a request that cannot be run."""
    return Result(Record(line, False, error_line(result_id, custom_id, error)))


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _wrapped(answer: Answer) -> dict[str, Any]:
    shown = answer.body[:500].decode(errors="replace")
    message = f"The upstream answered {answer.status} with a body that is no JSON object: {shown}"
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, Mapping):
        return NO_USAGE
    given = _first(usage, "input_tokens", "prompt_tokens")
    made = _first(usage, "output_tokens", "completion_tokens")
    return Usage(
        input_tokens=given,
        cached_tokens=_detail(usage, "cached_tokens", "input_tokens_details", "prompt_tokens_details"),
        output_tokens=made,
        reasoning_tokens=_detail(
            usage, "reasoning_tokens", "output_tokens_details", "completion_tokens_details"
        ),
        total_tokens=_first(usage, "total_tokens") or given + made,
    )


def _first(usage: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and 0 <= value < LARGEST_COUNT:
            return value
    return 0


def _detail(usage: Mapping[str, Any], detail: str, *groups: str) -> int:
    for group in groups:
        if isinstance(details := usage.get(group), Mapping):
            return _first(details, detail)
    return 0
