"""Splitting and reading JSONL from chunks of any size."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.lines import (
    LineError,
    error_line,
    read_request,
    request_lines,
    response_line,
    result_id,
    split_lines,
)

LIMIT = 20


def split_into_chunks(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"x"))),
    final_line_feed=st.booleans(),
    sizes=st.lists(st.integers(1, 12), max_size=40),
)
def test_lines_and_offsets_do_not_depend_on_the_chunks(
    lines: list[bytes], final_line_feed: bool, sizes: list[int]
) -> None:
    data = b"\n".join(lines) + (b"\n" if final_line_feed else b"")
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    found = list(split_lines(split_into_chunks(data, sizes), LIMIT))
    assert [line for _, line in found] == [line if len(line) <= LIMIT else None for line in expected]
    for (start, _), line in zip(found, expected, strict=True):
        assert data[start : start + len(line)] == line


def test_blank_lines_and_lone_carriage_returns_are_skipped() -> None:
    assert list(request_lines([b'{"a":1}\r\n\r', b'\n  \n{"b":2}'])) == [b'{"a":1}\r', b'{"b":2}']


def test_a_body_keeps_the_bytes_the_user_wrote() -> None:
    body = b'{"model":"m", "temperature" : 1.0, "text":"caf\\u00e9 \xe4\xb8\xad"}'
    line = b'{"custom_id":"a","method":"POST","url":"/v1/x","body":' + body + b"}\r"
    assert bytes(read_request(line).body) == body


@given(st.text(), st.dictionaries(st.text(), st.integers()))
def test_a_response_line_is_one_line_with_four_keys(custom_id: str, body: dict[str, int]) -> None:
    data = response_line("batch_req_1", custom_id, 200, "req_1", msgspec.json.encode(body))
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert json.loads(data) == {
        "id": "batch_req_1",
        "custom_id": custom_id,
        "response": {"status_code": 200, "request_id": "req_1", "body": body},
        "error": None,
    }


@pytest.mark.parametrize("error", LineError)
def test_an_error_line_has_no_response(error: LineError) -> None:
    line = json.loads(error_line("batch_req_1", "a", error))
    assert line["response"] is None
    assert line["error"] == {"code": error.code, "message": error.message}


def test_a_result_id_is_unique_to_a_line_of_a_batch() -> None:
    ids = {result_id(batch, line) for batch in ("batch_a", "batch_b") for line in range(100)}
    assert len(ids) == 200
    assert result_id("batch_a", 7) in ids
