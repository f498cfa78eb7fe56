"""The table classifies every possible response."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference import outcomes
from nightlane.domain.inference.outcomes import MAX_SHOWN_BYTES, Outcome, is_alive, judge
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.domain.inference.table import TABLE, Observation, Row, Verdict
from nightlane.domain.trouble import MAX_MESSAGE_CHARACTERS

ERROR = b'{"error":{"message":"no","type":"some_error","param":null,"code":"some_code"}}'
PLAIN = b"upstream connect error"
PAGE = b"<html><body>Sign in</body></html>"
BOX = b'{"detail":"Not Found"}'
GOOD = b'{"id":"1","model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'


def answer(status: int, body: bytes = ERROR, content_type: str = "application/json") -> Answer:
    return Answer(status, body, "req_1", None, content_type)


def no_answer(kind: Kind) -> NoAnswer:
    return NoAnswer(kind, "the network error")


def quota(status: int) -> Answer:
    return answer(status, ERROR.replace(b"some_code", b"insufficient_quota"))


EXAMPLES: tuple[tuple[Answer | NoAnswer, Kind, Verdict], ...] = (
    (no_answer(Kind.UNREACHABLE), Kind.UNREACHABLE, Verdict.REFUSED),
    (no_answer(Kind.MISCONFIGURED), Kind.MISCONFIGURED, Verdict.REFUSED),
    (no_answer(Kind.TIMEOUT), Kind.TIMEOUT, Verdict.FAILED),
    (answer(408), Kind.TIMEOUT, Verdict.FAILED),
    (no_answer(Kind.DISCONNECTED), Kind.DISCONNECTED, Verdict.FAILED),
    (no_answer(Kind.TOO_LARGE), Kind.TOO_LARGE, Verdict.REJECTED),
    (no_answer(Kind.UNREADABLE), Kind.UNREADABLE, Verdict.FAILED),
    (answer(200, PAGE, "text/html; charset=utf-8"), Kind.GATEWAY, Verdict.REFUSED),
    (answer(200, b"\n <!DOCTYPE html>", "text/plain"), Kind.GATEWAY, Verdict.REFUSED),
    (answer(200, b""), Kind.UNREADABLE, Verdict.FAILED),
    (answer(204, b""), Kind.UNREADABLE, Verdict.FAILED),
    (answer(200, PLAIN, "text/plain"), Kind.UNREADABLE, Verdict.FAILED),
    (answer(200, GOOD[:-9]), Kind.UNREADABLE, Verdict.FAILED),
    (answer(200, b"[1]"), Kind.UNREADABLE, Verdict.FAILED),
    (answer(200, b'"text"'), Kind.UNREADABLE, Verdict.FAILED),
    (answer(200), Kind.ERROR_IN_SUCCESS, Verdict.FAILED),
    (
        answer(200, b'{"object":"error","message":"no","code":40303}'),
        Kind.ERROR_IN_SUCCESS,
        Verdict.FAILED,
    ),
    (answer(200, b'{"choices":[{"error":{"code":502}}]}'), Kind.ERROR_IN_SUCCESS, Verdict.FAILED),
    (answer(200, b'{"choices":[{"finish_reason":"error"}]}'), Kind.ERROR_IN_SUCCESS, Verdict.FAILED),
    (answer(200, GOOD), Kind.ANSWERED, Verdict.ANSWERED),
    (answer(201, GOOD, "text/plain"), Kind.ANSWERED, Verdict.ANSWERED),
    (answer(200, GOOD, "text/html"), Kind.ANSWERED, Verdict.ANSWERED),
    (answer(200, b"{}"), Kind.ANSWERED, Verdict.ANSWERED),
    (answer(200, b'{"error":null,"data":[{"embedding":[0.5]}]}'), Kind.ANSWERED, Verdict.ANSWERED),
    (answer(200, b'{"choices":"none"}'), Kind.ANSWERED, Verdict.ANSWERED),
    (answer(101, b""), Kind.REDIRECT, Verdict.REFUSED),
    (answer(302, PAGE, "text/html"), Kind.REDIRECT, Verdict.REFUSED),
    (quota(429), Kind.QUOTA, Verdict.REFUSED),
    (answer(429), Kind.RATE_LIMITED, Verdict.REFUSED),
    (answer(429, PAGE, "text/html"), Kind.RATE_LIMITED, Verdict.REFUSED),
    (answer(503, PLAIN), Kind.OVERLOADED, Verdict.REFUSED),
    (answer(529), Kind.OVERLOADED, Verdict.REFUSED),
    *((answer(status), Kind.SERVER_ERROR, Verdict.FAILED) for status in (500, 501, 502, 504, 520, 599)),
    (answer(502, PAGE, "text/html"), Kind.SERVER_ERROR, Verdict.FAILED),
    (quota(500), Kind.SERVER_ERROR, Verdict.FAILED),
    *((answer(status, PAGE, "text/html"), Kind.REJECTED, Verdict.REJECTED) for status in (413, 414, 431)),
    *((answer(status), Kind.DENIED, Verdict.DENIED) for status in (401, 402, 403, 404)),
    *((answer(status, BOX), Kind.GATEWAY, Verdict.REFUSED) for status in (401, 402, 403, 404)),
    *((answer(status, PLAIN), Kind.GATEWAY, Verdict.REFUSED) for status in (401, 403, 404)),
    *((answer(status), Kind.GATEWAY, Verdict.REFUSED) for status in (405, 407, 421)),
    (answer(400, PAGE, "text/html"), Kind.GATEWAY, Verdict.REFUSED),
    *((answer(status), Kind.SERVER_ERROR, Verdict.FAILED) for status in (409, 425, 499)),
    *((answer(status), Kind.REJECTED, Verdict.REJECTED) for status in (400, 406, 410, 415, 422, 451)),
    (answer(422, BOX), Kind.REJECTED, Verdict.REJECTED),
    (answer(400, PLAIN, "text/plain"), Kind.UNREADABLE, Verdict.FAILED),
    (answer(422, b""), Kind.UNREADABLE, Verdict.FAILED),
)


def name(value: object) -> str | None:
    match value:
        case Answer():
            return f"{value.status} {value.body[:20]!r}"
        case NoAnswer():
            return "no answer"
    return str(value)


@pytest.mark.parametrize(("end", "kind", "verdict"), EXAMPLES, ids=name)
def test_each_example_is_classified_as_expected(end: Answer | NoAnswer, kind: Kind, verdict: Verdict) -> None:
    outcome = judge(end)
    assert (outcome.kind, outcome.verdict) == (kind, verdict)


def test_every_row_of_the_table_has_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: set[str] = set()

    def recording(row: Row) -> Row:
        def matches(observed: Observation) -> bool:
            if row.matches(observed):
                matched.add(row.when)
                return True
            return False

        return replace(row, matches=matches)

    monkeypatch.setattr(outcomes, "TABLE", tuple(map(recording, TABLE)))
    for end, _, _ in EXAMPLES:
        judge(end)
    assert matched == {row.when for row in TABLE}
    assert len(matched) == len(TABLE)


def test_every_kind_and_every_verdict_has_a_row() -> None:
    assert {row.kind for row in TABLE} == set(Kind)
    assert {row.verdict for row in TABLE} == set(Verdict)


@given(
    status=st.integers(100, 999),
    body=st.binary(max_size=300) | st.sampled_from([ERROR, PAGE, GOOD, BOX, PLAIN]),
    content_type=st.sampled_from(["application/json", "text/html", "", "Text/Event-Stream"]),
)
def test_any_answer_is_classified(status: int, body: bytes, content_type: str) -> None:
    end = answer(status, body, content_type)
    outcome = judge(end)
    assert isinstance(is_alive(end), bool)
    assert len(outcome.message) <= MAX_MESSAGE_CHARACTERS
    assert outcome.answer is not None
    assert outcome.answer.status == status
    if outcome.verdict is Verdict.ANSWERED:
        assert isinstance(json.loads(outcome.body.line), dict)


@given(
    error=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["message", "code", "type"]), each),
    ),
    status=st.sampled_from([200, 400, 404, 429, 500]),
)
def test_an_error_of_any_shape_is_classified(error: object, status: int) -> None:
    for body in ({"error": error}, {"object": "error", "message": error, "code": error}, {"choices": error}):
        outcome = judge(answer(status, json.dumps(body).encode()))
        assert isinstance(outcome.message, str)
        assert isinstance(outcome.body.error_code, str | int | None)


def test_an_outcome_has_the_upstreams_message_and_keeps_no_more_than_it_needs() -> None:
    rejected = judge(answer(400, ERROR.replace(b'"no"', b'"%b"' % (b"n" * 1_000))))
    assert rejected.message == "n" * MAX_MESSAGE_CHARACTERS
    assert (rejected.body.error_code, rejected.answer and rejected.answer.body) == ("some_code", b"")
    page = judge(answer(502, PAGE + b"x" * 10**6))
    assert page.message.startswith("<html><body>Sign in")
    assert page.answer is not None
    assert len(page.answer.body) == MAX_SHOWN_BYTES
    assert judge(no_answer(Kind.TIMEOUT)) == Outcome(
        Verdict.FAILED, Kind.TIMEOUT, None, outcomes.NO_BODY, "the network error"
    )


@pytest.mark.parametrize(
    "end",
    [
        answer(200, b'{"object":"list","data":[]}'),
        answer(200, b'[{"id":"m"}]'),
        answer(401),
        answer(403, PLAIN, "text/plain"),
        answer(404),
        answer(404, b"404: Not Found", "text/plain"),
        answer(405, PLAIN, "text/plain"),
    ],
    ids=name,
)
def test_an_upstream_that_answers_a_probe_or_has_no_list_of_models_is_alive(end: Answer) -> None:
    assert is_alive(end)


@pytest.mark.parametrize(
    "end",
    [
        *map(no_answer, (Kind.UNREACHABLE, Kind.TIMEOUT, Kind.DISCONNECTED, Kind.UNREADABLE)),
        *(answer(status) for status in (302, 408, 429, 500, 502, 503)),
        answer(200, b""),
        answer(200, b'[{"id":'),
        answer(200, ERROR),
        answer(200, PAGE, "text/html"),
        answer(200, b"\r\n<?xml version='1.0'?>", "text/xml"),
        answer(404, PAGE, "text/html"),
    ],
    ids=name,
)
def test_no_answer_refusals_failures_and_pages_do_not_show_that_an_upstream_is_alive(
    end: Answer | NoAnswer,
) -> None:
    assert not is_alive(end)


def test_the_documentation_shows_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs/inference.md").read_text()
    rows = [f"| {row.when} | `{row.kind}` | {row.verdict.value} | {row.why} |" for row in TABLE]
    assert "\n".join(rows) in page
