"""Answers that were paid for reach the user, however odd; unreadable ones end as errors with a reason."""

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from nightlane.api_settings import KIB
from nightlane.domain.batch import BatchStatus
from nightlane.domain.inference import attempt
from tests.upstream import Body, Upstream, chat_answer, question
from tests.world import World, requests

AT_ONCE = {"retry-after": "0.001"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes count after these pauses in real time; how long they are is tested with the decisions."""
    monkeypatch.setattr(attempt, "PROBE_PAUSES_SECONDS", (0.05,))
    monkeypatch.setattr(attempt, "LAST_PROBE_PAUSE_SECONDS", 0.05)


def json_response(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers=AT_ONCE)


def only(bad: int, answer: Callable[[Body], web.Response]) -> Callable[[Body, int], web.Response | None]:
    return lambda body, _seen: answer(body) if question(body) == f"Question {bad}?" else None


def error_line(nightlane: World, batch_id: str) -> Any:
    (line,) = nightlane.lines(nightlane.batch(batch_id).error_file_id)
    return line


ODD: tuple[tuple[bytes, Any], ...] = (
    (b'{"score":NaN,"low":-Infinity,"text":"NaN"}', {"score": None, "low": None, "text": "NaN"}),
    (b'{"text":"a\\ud800b"}', {"text": "a\ufffdb"}),
    (BOM_UTF8 + b'{"text":"after a mark"}', {"text": "after a mark"}),
    (b'{"text":"caf\xe9"}', {"text": "caf\ufffd"}),
    (b'{"text":"a\x00\tb\nc"}', {"text": "a\x00\tb\nc"}),
    ('{"text":"a\u2028b\u2029c\x85d"}'.encode(), {"text": "a\u2028b\u2029c\x85d"}),
    (
        b'{"large":' + b"9" * 5_000 + b',"larger":1e999,"text":"1e999"}',
        {"large": None, "larger": None, "text": "1e999"},
    ),
    (b' \r\n{\r\n "text" :\t"pretty" }\n\n', {"text": "pretty"}),
    (b'{"text":"first","text":"second"}', {"text": "second"}),
)


def test_what_some_client_reads_as_json_becomes_json_for_every_client(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__["shard_max_lines"] = 50
    upstream.script = lambda body, _seen: json_response(ODD[int(question(body)[9:-1])][0])
    batch_id = nightlane.create(nightlane.upload(requests(len(ODD))))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, len(ODD), 0)
    lines = nightlane.lines(batch.output_file_id)
    assert [line["response"]["body"] for line in lines] == [expected for _, expected in ODD]
    assert set(upstream.asked.values()) == {1}


def test_values_nested_too_deep_for_most_parsers_are_kept_as_text(
    nightlane: World, upstream: Upstream
) -> None:
    deep = b'{"before":1,"deep":' + b"[" * 3_000 + b'"core"' + b"]" * 3_000 + b',"after":2}'
    upstream.script = lambda _body, _seen: json_response(deep)
    batch_id = nightlane.create(nightlane.upload(requests(1)))
    nightlane.run()
    (line,) = nightlane.lines(nightlane.batch(batch_id).output_file_id)
    body = line["response"]["body"]
    assert (body["before"], body["after"]) == (1, 2)
    inner: Any = body["deep"]
    while isinstance(inner, list):
        (inner,) = inner
    assert isinstance(inner, str)
    assert '"core"' in inner


def test_a_pretty_printed_answer_becomes_one_line(nightlane: World, upstream: Upstream) -> None:
    def script(body: Body, _seen: int) -> web.Response:
        text = json.dumps({"echo": question(body), "score": 1.0}, indent=2).replace("\n", "\r\n")
        return web.Response(text=text, content_type="application/json")

    upstream.script = script
    batch_id = nightlane.create(nightlane.upload(requests(2)))
    nightlane.run()
    lines = nightlane.lines(nightlane.batch(batch_id).output_file_id)
    assert [line["response"]["body"]["echo"] for line in lines] == ["Question 0?", "Question 1?"]


UNREADABLE = {
    "empty": b"",
    "text": b"upstream connect error",
    "an array": b'["not an object"]',
    "half": b'{"id":"chatcmpl-1","choices":[{"mess',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_success_is_retried(nightlane: World, upstream: Upstream, body: bytes) -> None:
    upstream.script = lambda _body, seen: json_response(body) if not seen else None
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 3, 0)
    assert set(upstream.asked.values()) == {2}


@pytest.mark.parametrize("body", [b"[" + b"7," * 50_000 + b"7]", b"busy"], ids=["long", "short"])
def test_a_success_that_is_always_unreadable_is_shown_in_an_error_line(
    nightlane: World, upstream: Upstream, body: bytes
) -> None:
    nightlane.ports.settings.__dict__.update(line_attempts=2)
    upstream.script = only(1, lambda _body: json_response(body))
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.run()
    assert nightlane.batch(batch_id).completed == 2
    response = error_line(nightlane, batch_id)["response"]
    assert response["status_code"] == 502
    message = response["body"]["error"]["message"]
    shown = body[: 64 * KIB].decode()
    assert message == f"The upstream answered 200 with a body that is not a JSON object: {shown}"
    assert upstream.asked["Question 1?"] == 2


def test_an_error_in_a_success_is_retried_and_becomes_an_error_line_if_it_persists(
    nightlane: World, upstream: Upstream
) -> None:
    errors = {
        "Question 0?": {"error": {"message": "Provider returned error", "code": 429}},
        "Question 1?": {"object": "error", "message": "no", "code": 40303},
        "Question 2?": {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "cut"}}]},
    }

    def script(body: Body, seen: int) -> web.Response | None:
        asked = question(body)
        if asked in errors and (asked == "Question 1?" or not seen):
            return web.json_response(errors[asked], headers=AT_ONCE)
        return None

    upstream.script = script
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 3, 1)
    response = error_line(nightlane, batch_id)["response"]
    assert (response["status_code"], response["body"]) == (502, errors["Question 1?"])
    # Good lines failed too, so it takes one more failure to blame a line.
    assert [upstream.asked[f"Question {number}?"] for number in range(4)] == [2, 6, 2, 1]


def unchanged(response: web.Response) -> web.Response:
    return response


def chunked(response: web.Response) -> web.Response:
    response.enable_chunked_encoding()
    return response


def compressed(response: web.Response) -> web.Response:
    response.enable_compression(web.ContentCoding.gzip)
    return response


@pytest.mark.parametrize("encode", [unchanged, chunked, compressed])
def test_an_answer_that_is_too_large_becomes_an_error_line_at_once(
    nightlane: World, upstream: Upstream, encode: Callable[[web.Response], web.Response]
) -> None:
    nightlane.ports.settings.__dict__["max_answer_bytes"] = 300 * KIB

    def large(size: int) -> web.Response:
        return encode(json_response(b'{"text":"' + b"x" * size + b'"}'))

    sizes = {"Question 0?": 299 * KIB, "Question 1?": 301 * KIB}
    upstream.script = lambda body, _seen: large(sizes[question(body)]) if question(body) in sizes else None
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 2, 1)
    line = error_line(nightlane, batch_id)
    assert (line["custom_id"], line["response"]) == ("request-1", None)
    assert line["error"]["code"] == "response_too_large"
    assert "307,200" in line["error"]["message"]
    assert set(upstream.asked.values()) == {1}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-request-id": "réq\u2028 1"},
        {"x-request-id": "x" * 5_000},
        {"x-request-id": ""},
        {"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"},
        {"retry-after": "nan", "retry-after-ms": "-1e400"},
        {"content-type": "application/json; charset=klingon"},
        {f"x-policy-{number}": "y" * 1_000 for number in range(30)},
    ],
    ids=["id", "long id", "no id", "date", "nan", "charset", "many"],
)
def test_odd_headers_are_handled(nightlane: World, upstream: Upstream, headers: dict[str, str]) -> None:
    def script(body: Body, seen: int) -> web.Response:
        answer = chat_answer(body) if seen else web.json_response({"error": {"message": "busy"}}, status=503)
        answer.headers.update(headers)
        return answer

    upstream.script = script
    batch_id = nightlane.create(nightlane.upload(requests(1)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 1)
    (line,) = nightlane.lines(batch.output_file_id)
    assert 0 < len(line["response"]["request_id"]) <= 200
