"""From an upstream's answer to a result line."""

from typing import Any

import msgspec

from nightlane.domain.batch import NO_USAGE, Usage
from nightlane.domain.inference.lines import Line
from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.lines import LineError, error_line, escape_separators, response_line
from nightlane.domain.parts import Record

LARGEST_COUNT = 10**12
# A 2xx that is an error is shown with its own code, or as what a gateway would have said.
BAD_GATEWAY = 502


class Result(msgspec.Struct, frozen=True):
    """A finished line: what goes into the part and into the counts."""

    record: Record
    usage: Usage = NO_USAGE
    model: str | None = None


def answered(line: Line, outcome: Outcome) -> Result:
    """The output line of a good answer."""
    answer, body = outcome.answer, outcome.body
    assert answer is not None
    data = response_line(line.result_id, line.request.custom_id, answer.status, answer.request_id, body.line)
    return Result(Record(line.number, True, data), _usage(body.usage), body.model)


def given_up(line: Line, outcome: Outcome) -> Result:
    """The error line of a request that was answered with an error, or never properly."""
    answer = outcome.answer
    if answer is None:
        return unanswered(line, SILENT_ENDS.get(outcome.kind, LineError.NO_ANSWER), outcome.message)
    status = answer.status
    if status < 400:
        code = outcome.body.error_code
        status = code if isinstance(code, int) and 400 <= code < 600 else BAD_GATEWAY
    body = outcome.body.line or _wrapped(answer.status, answer.body)
    data = response_line(line.result_id, line.request.custom_id, status, answer.request_id, body)
    return Result(Record(line.number, False, data))


SILENT_ENDS = {Kind.TIMEOUT: LineError.TIMEOUT, Kind.TOO_LARGE: LineError.TOO_LARGE}


def unanswered(line: Line, error: LineError, detail: str = "") -> Result:
    """The error line of a request that has no answer."""
    return Result(
        Record(line.number, False, error_line(line.result_id, line.request.custom_id, error, detail))
    )


def _wrapped(status: int, body: bytes) -> bytes:
    """A body that is not a JSON object, in an OpenAI error."""
    shown = body.decode(errors="replace")
    message = f"The upstream answered {status} with a body that is not a JSON object: {shown}"
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    return escape_separators(msgspec.json.encode({"error": error}))


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return NO_USAGE
    get = usage.get
    given = _first(get("input_tokens"), get("prompt_tokens"))
    made = _first(get("output_tokens"), get("completion_tokens"))
    of_given = get("input_tokens_details") or get("prompt_tokens_details")
    of_made = get("output_tokens_details") or get("completion_tokens_details")
    return Usage(
        input_tokens=given,
        cached_tokens=_first(of_given.get("cached_tokens")) if isinstance(of_given, dict) else 0,
        output_tokens=made,
        reasoning_tokens=_first(of_made.get("reasoning_tokens")) if isinstance(of_made, dict) else 0,
        total_tokens=_first(get("total_tokens")) or given + made,
    )


def _first(*values: Any) -> int:
    """The first that is a count."""
    for value in values:
        if value is not None:
            count = value if type(value) is int else _count(value)
            if count is not None and 0 <= count < LARGEST_COUNT:
                return count
    return 0


def _count(value: Any) -> int | None:
    """A whole number, also as 3.0 or "3": some servers write their counts so."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None
