"""What is tried again, when, and what becomes of an answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.batch import Usage
from nightlane.domain.inference.ports import Answer
from nightlane.domain.inference.results import result_of
from nightlane.domain.inference.retries import is_retryable, pause_before


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_retryable(status: int) -> None:
    assert is_retryable(status)


@pytest.mark.parametrize("status", [200, 201, 301, 400, 401, 403, 404, 413, 422])
def test_an_answer_is_final(status: int) -> None:
    assert not is_retryable(status)


@given(attempt=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_pauses_grow_to_a_bound(attempt: int, jitter: float) -> None:
    pause = pause_before(attempt, None, lambda: jitter)
    assert 0.25 <= pause <= 30
    assert pause <= pause_before(attempt + 1, None, lambda: jitter)


@given(asked=st.floats(0, 1e6), jitter=st.floats(0, 1))
def test_retry_after_is_honoured_up_to_five_minutes(asked: float, jitter: float) -> None:
    pause = pause_before(0, asked, lambda: jitter)
    assert min(asked, 300) <= pause <= 330


@given(body=st.binary(max_size=200), status=st.integers(200, 499))
def test_any_answer_makes_a_good_line(body: bytes, status: int) -> None:
    result = result_of(3, "batch_req_1", "a", Answer(status, body, "req_1", None))
    line = json.loads(result.record.data)
    assert result.record.data.count(b"\n") == 1
    assert (line["custom_id"], line["error"]) == ("a", None)
    assert isinstance(line["response"]["body"], dict)
    assert result.record.ok == (200 <= line["response"]["status_code"] < 300)


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
        ({"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": 7}, Usage()),
        (None, Usage()),
        ([], Usage()),
    ],
)
def test_usage_is_read_in_every_endpoints_names(usage: object, expected: Usage) -> None:
    body = json.dumps({"model": "m", "usage": usage}).encode()
    result = result_of(0, "batch_req_1", "a", Answer(200, body, "req_1", None))
    assert (result.usage, result.model) == (expected, "m")
