"""From an upstream's answer to a result line."""

from typing import Any

import msgspec

from nightlane.domain.batch import NO_USAGE, Usage
from nightlane.domain.inference.lines import Line
from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.lines import LineError, error_line, escape_separators, response_line
from nightlane.domain.parts import Record

MAX_COUNT = 10**12
# The status shown for a 2xx whose body is an error without an HTTP code of its own.
BAD_GATEWAY = 502


class Result(msgspec.Struct, frozen=True):
    """A finished line: its record in the part, and its share of the batch's usage."""

    record: Record
    usage: Usage = NO_USAGE
    model: str | None = None


def answered(line: Line, outcome: Outcome) -> Result:
    """Return the output line of a successful answer."""
    answer, body = outcome.answer, outcome.body
    assert answer is not None
    data = response_line(line.result_id, line.request.custom_id, answer.status, answer.request_id, body.line)
    return Result(Record(line.number, True, data), _read_usage(body.usage), body.model)


def given_up(line: Line, outcome: Outcome) -> Result:
    """Return the error line of a request that was answered with an error, or got no usable answer."""
    answer = outcome.answer
    if answer is None:
        return unanswered(line, NO_ANSWER_ERRORS.get(outcome.kind, LineError.NO_ANSWER), outcome.message)
    status = answer.status
    if status < 400:
        code = outcome.body.error_code
        status = code if isinstance(code, int) and 400 <= code < 600 else BAD_GATEWAY
    body = outcome.body.line or _wrap(answer.status, answer.body)
    data = response_line(line.result_id, line.request.custom_id, status, answer.request_id, body)
    return Result(Record(line.number, False, data))


NO_ANSWER_ERRORS = {Kind.TIMEOUT: LineError.TIMEOUT, Kind.TOO_LARGE: LineError.TOO_LARGE}


def unanswered(line: Line, error: LineError, detail: str = "") -> Result:
    """Return the error line of a request that has no answer."""
    return Result(
        Record(line.number, False, error_line(line.result_id, line.request.custom_id, error, detail))
    )


def _wrap(status: int, body: bytes) -> bytes:
    """Wrap a body that is not a JSON object in an OpenAI error."""
    shown = body.decode(errors="replace")
    message = f"The upstream answered {status} with a body that is not a JSON object: {shown}"
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    return escape_separators(msgspec.json.encode({"error": error}))


def _read_usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return NO_USAGE
    get = usage.get
    input_tokens = _first_count(get("input_tokens"), get("prompt_tokens"))
    output_tokens = _first_count(get("output_tokens"), get("completion_tokens"))
    input_details = get("input_tokens_details") or get("prompt_tokens_details")
    output_details = get("output_tokens_details") or get("completion_tokens_details")
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=_first_count(input_details.get("cached_tokens"))
        if isinstance(input_details, dict)
        else 0,
        output_tokens=output_tokens,
        reasoning_tokens=_first_count(output_details.get("reasoning_tokens"))
        if isinstance(output_details, dict)
        else 0,
        total_tokens=_first_count(get("total_tokens")) or input_tokens + output_tokens,
    )


def _first_count(*values: Any) -> int:
    """Return the first value that is a token count; 0 if none is."""
    for value in values:
        if value is not None:
            count = value if type(value) is int else _parse_count(value)
            if count is not None and 0 <= count < MAX_COUNT:
                return count
    return 0


def _parse_count(value: Any) -> int | None:
    """Return a whole number, also from 3.0 or "3", which some servers send; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None
