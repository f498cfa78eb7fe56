"""Turning an answer into a line of the output or error file, and into token counts."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.batch import Usage
from nightlane.domain.inference.lines import Line
from nightlane.domain.inference.outcomes import MAX_SHOWN_BYTES, judge
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.domain.inference.results import Result, answered, given_up, unanswered
from nightlane.domain.inference.table import Verdict
from nightlane.domain.lines import LineError, RequestLine

LINE = Line(3, "batch_req_1", RequestLine("a\u2028b", msgspec.Raw(b"{}")))


def build_result(end: Answer | NoAnswer) -> Result:
    outcome = judge(end)
    return answered(LINE, outcome) if outcome.verdict is Verdict.ANSWERED else given_up(LINE, outcome)


def read(result: Result) -> dict[str, Any]:
    assert result.record.data.count(b"\n") == 1
    assert len(result.record.data.decode().splitlines()) == 1
    line = json.loads(result.record.data)
    assert (result.record.line, line["id"], line["custom_id"]) == (3, "batch_req_1", "a\u2028b")
    assert isinstance(line, dict)
    return line


@given(
    body=st.binary(max_size=200) | st.text(max_size=50).map(str.encode),
    status=st.integers(200, 599),
    request_id=st.text(max_size=20),
)
def test_any_answer_makes_a_valid_line(body: bytes, status: int, request_id: str) -> None:
    result = build_result(Answer(status, body, request_id, None))
    line = read(result)
    assert line["error"] is None
    assert line["response"]["request_id"] == request_id
    assert isinstance(line["response"]["body"], dict)
    assert result.record.ok == (200 <= line["response"]["status_code"] < 300)


@given(kind=st.sampled_from(Kind), reason=st.text(max_size=400))
def test_any_lack_of_an_answer_makes_a_valid_line(kind: Kind, reason: str) -> None:
    result = build_result(NoAnswer(kind, reason))
    line = read(result)
    assert (line["response"], result.record.ok) == (None, False)
    assert line["error"]["message"].endswith(reason[:300])


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.TIMEOUT, "request_timeout"),
        (Kind.TOO_LARGE, "response_too_large"),
        (Kind.DISCONNECTED, "server_error"),
        (Kind.UNREADABLE, "server_error"),
    ],
)
def test_the_error_of_an_unanswered_line_says_why(kind: Kind, code: str) -> None:
    line = read(build_result(NoAnswer(kind, "The limit is 7 bytes.")))
    assert line["error"]["code"] == code
    assert line["error"]["message"].endswith(" The limit is 7 bytes.")
    assert read(unanswered(LINE, LineError.EXPIRED))["error"] == {
        "code": "batch_expired",
        "message": LineError.EXPIRED.message,
    }


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (200, 429, 429),
        (200, "rate_limited", 502),
        (200, 200, 502),
        (200, 40303, 502),
        (200, True, 502),
        (302, None, 502),
        (400, 500, 400),
        (500, None, 500),
    ],
)
def test_an_error_line_always_has_an_error_status(status: int, code: object, shown: int) -> None:
    body = json.dumps({"error": {"message": "no", "code": code}}).encode()
    line = read(build_result(Answer(status, body, "req_1", None)))
    assert line["response"] == {
        "status_code": shown,
        "request_id": "req_1",
        "body": {"error": {"message": "no", "code": code}},
    }


def test_a_body_that_is_not_an_object_is_shown_up_to_64_kib_in_an_openai_error() -> None:
    line = read(build_result(Answer(200, b"busy \xff" + b"x" * (MAX_SHOWN_BYTES + 100), "req_1", None)))
    assert line["response"]["status_code"] == 502
    error = line["response"]["body"]["error"]
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    shown = "The upstream answered 200 with a body that is not a JSON object: busy \ufffd"
    assert error["message"] == shown + "x" * (MAX_SHOWN_BYTES - 6)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 0, 2, 0, 5)),
        (
            {
                "input_tokens": 3,
                "input_tokens_details": {"cached_tokens": 1},
                "output_tokens": 2,
                "output_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 5,
            },
            Usage(3, 1, 2, 1, 5),
        ),
        ({"prompt_tokens": 4, "total_tokens": 4}, Usage(4, 0, 0, 0, 4)),
        ({"prompt_tokens": 4, "completion_tokens": 3}, Usage(4, 0, 3, 0, 7)),
        ({"prompt_tokens": 3.0, "completion_tokens": "2"}, Usage(3, 0, 2, 0, 5)),
        ({"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": 7}, Usage()),
        ({"prompt_tokens": 10**12, "completion_tokens": True, "total_tokens": 1e300}, Usage()),
        ({"prompt_tokens": None, "prompt_tokens_details": {"cached_tokens": [1]}}, Usage()),
        (None, Usage()),
        ([], Usage()),
    ],
)
def test_usage_is_read_with_every_endpoints_field_names(usage: object, expected: Usage) -> None:
    body = json.dumps({"model": "m", "usage": usage}).encode()
    result = build_result(Answer(200, body, "req_1", None))
    assert (result.usage, result.model) == (expected, "m")


@pytest.mark.parametrize("model", [None, "", 7, ["m"]])
def test_an_invalid_model_name_is_ignored(model: object) -> None:
    body = json.dumps({"model": model}).encode()
    assert build_result(Answer(200, body, "req_1", None)).model is None
