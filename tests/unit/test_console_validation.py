"""The console validates in the browser as planning does, and refuses nothing that planning accepts."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from nightlane.api_settings import ApiSettings
from nightlane.domain.endpoints import ENDPOINTS
from nightlane.domain.line_checks import ErrorList, Invalid, LineChecker, ModelChecker
from nightlane.domain.reading import ReadInput, check_size, read_input
from nightlane.settings import Settings
from nightlane.wire.estimates import limits_object
from tests.unit.test_line_checks import CHAT, ONE, build_line, json_values

SCRIPT = Path(__file__).with_name("console_validation.mjs")
SETTINGS = Settings(
    upstreams=ONE,
    extra_endpoints=("/v1/rerank",),
    max_batch_lines=6,
    max_line_bytes=2_000,
    max_batch_bytes=99_999,
)
ONE_MODEL = SETTINGS.model_copy(update={"one_model_per_batch": True})
LONG_LINES = SETTINGS.model_copy(update={"max_line_bytes": 10**6, "max_batch_bytes": 10**6})


class Browser:
    """A process of Node that validates with the console's module."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def validate(self, data: bytes, endpoint: str, limits: Settings) -> Any:
        request = {
            "data": base64.b64encode(data).decode(),
            "endpoint": endpoint,
            "limits": limits_object(ApiSettings.of(limits)),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # The environment has Node for the CDK; a run with another Python finds it on the PATH that make sets.
    node = shutil.which("node", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert node, "Node is missing: make .venv/.dev installs it"
    pipe = subprocess.PIPE
    with subprocess.Popen([node, str(SCRIPT)], stdin=pipe, stdout=pipe, text=True) as process:
        yield Browser(process)
        assert process.stdin
        process.stdin.close()


def plan(data: bytes, endpoint: str, limits: Settings) -> tuple[list[dict[str, Any]], ReadInput | None]:
    """Return the errors that planning finds, all of them, and what it has read."""
    models = ModelChecker(limits.upstreams, lambda _: False, only_one=limits.one_model_per_batch)
    errors = ErrorList()
    try:
        check_size(limits, len(data))
        read = read_input(limits, [data[:7], data[7:]], LineChecker(endpoint, models), errors)
    except Invalid as error:
        return [{"line": None, "code": error.code, "message": str(error), "param": error.param}], None
    return [asdict(each) for each in errors.errors()], read


def compare(browser: Browser, data: bytes, endpoint: str = CHAT, limits: Settings = SETTINGS) -> Any:
    """Check that both find the same, and return the browser's report."""
    errors, read = plan(data, endpoint, limits)
    report = browser.validate(data, endpoint, limits)
    assert normalized(report["errors"]) == normalized(errors)
    assert dict(report["counts"]) == Counter(each["code"] for each in errors)
    if read:
        assert (report["lines"], report["bytes"]) == (len(read.lines), read.request_bytes)
        assert report["tokens"] == read.prompt_tokens
        assert sum(each["bytes"] for each in report["models"]) == read.request_bytes
    return report


def normalized(errors: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """JavaScript's numbers do not show whether they were written as integers."""
    return [
        (each["line"], each["code"], each["param"], each["message"].replace("an integer", "a number"))
        for each in errors
    ]


GOOD = build_line()
BODIES: list[dict[str, Any]] = [
    {},
    {"model": ""},
    {"model": 4},
    {"model": "m"},
    {"model": "m", "messages": []},
    {"model": "m", "messages": None},
    {"model": "m", "messages": [], "stream": []},
    {"model": "m", "messages": [], "stream": {"a": 1}},
    {"model": "m", "messages": [], "stream": True},
    {"model": "m", "input": "x", "prompt": "y"},
    {"model": "m", "input": [1, 2, 3]},
    {"model": "m", "input": [[1], [2]]},
    {"model": "m", "input": ["x"] * 49_999},
    {"input": "x", "prompt": "y", "image": "data:image/png;base64,AAAA"},
    {"prompt": "y", "images": [{"file_id": "file-1"}]},
]
REPLACEMENTS: tuple[Any, ...] = (..., None, 7, 1.5, [])
LINES = [
    b"",
    b" \t\r\x0b\x0c",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf" + GOOD,
    b"no json",
    b'{"a":1',
    b'{"a":NaN}',
    b"[]",
    b"1",
    b"1.5",
    b"null",
    b"true",
    b'"x"',
    b'{"a":"caf\xe9"}',
    b'{"a":"\xe4\xb8',
    b'"\xed\xa0\x80"',
    b'"\xf4\x90\x80\x80"',
    b'"\xc0\x80"',
    b'{"a":"\xe4\xb8\x00"}',
    "{}".encode("utf-16"),
    "{}".encode("utf-16-be"),
    b'{"a":"\\ud83d\\ude00"}',
    b'{"a":"\\\\ud800 \\ud83d"}',
    b'{"a":"\\uD83D\\uDE00\\uDE00"}',
    b'{"a":"\\ud83d\\\\ude00"}',
    b'{"custom_id":' + b"[" * 198 + b"]" * 198 + b"}",
    b'{"custom_id":' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"__proto__":{"custom_id":"a"}}',
    b'{"a":1,"a":2}',
    b" " + GOOD + b"\r",
    GOOD[:-2] + b',"model":"other"}}',
    GOOD.replace(b"hi", b"x" * 2_000),
    GOOD.replace(b"hi", "ü€😀".encode() + b"\xe2\x80\xa8"),
    *(build_line(**{key: value}) for key in ("custom_id", "method", "url", "body") for value in REPLACEMENTS),
    build_line(custom_id=""),
    build_line(custom_id="x" * 300),
    build_line(method="GET" * 100),
    build_line(url="/v1/embeddings"),
    build_line(url="😀" * 201),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:24]))
def test_each_kind_of_line_is_judged_alike_wherever_it_is(browser: Browser, line: bytes) -> None:
    for data in (line, line + b"\n" + GOOD, GOOD + b"\n" + line + b"\n\n" + line):
        compare(browser, data)


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "/v1/rerank"])
def test_each_endpoint_has_the_same_rules(browser: Browser, endpoint: str) -> None:
    for limits in (LONG_LINES, LONG_LINES.model_copy(update={"one_model_per_batch": True})):
        for body in BODIES:
            compare(browser, build_line(url=endpoint, body=body), endpoint, limits)


def numbered(count: int, **changes: Any) -> bytes:
    return b"\n".join(build_line(custom_id=str(number), **changes) for number in range(count))


@pytest.mark.parametrize("count", [0, 6, 7])
def test_the_limit_of_requests_is_the_same_and_blank_lines_do_not_count(browser: Browser, count: int) -> None:
    report = compare(browser, b"\n \n" + numbered(count).replace(b"\n", b"\n\n") + b"\n\n")
    assert [code for code, _ in report["counts"]] == {0: ["empty_file"], 7: ["too_many_tasks"]}.get(count, [])


@pytest.mark.parametrize("size", [99_999, 100_000])
def test_the_limit_of_bytes_is_the_same(browser: Browser, size: int) -> None:
    assert compare(browser, GOOD + b"\n" * (size - len(GOOD)))["lines"] == (size == 99_999)


@pytest.mark.parametrize("more", [0, 1])
def test_the_limit_of_a_line_is_the_same(browser: Browser, more: int) -> None:
    line = GOOD.replace(b"hi", b"x" * (2_002 - len(GOOD) + more))
    report = compare(browser, b"\n" + line + b"\n")
    assert len(report["errors"]) == more


def test_a_second_model_is_refused_only_if_a_batch_may_have_one(browser: Browser) -> None:
    data = GOOD + b"\n" + build_line(custom_id="b", body_changes={"model": "other"})
    assert [each["model"] for each in compare(browser, data)["models"]] == ["m", "other"]
    assert compare(browser, data, limits=ONE_MODEL)["errors"][0]["code"] == "mismatched_model"


def test_the_total_of_embedding_inputs_is_limited_alike(browser: Browser) -> None:
    counts = (["x"] * 49_999, [1, 2, 3], "x")
    data = b"\n".join(
        build_line(custom_id=str(number), url="/v1/embeddings", body={"model": "m", "input": each})
        for number, each in enumerate(counts)
    )
    assert compare(browser, data, "/v1/embeddings", LONG_LINES)["errors"][0]["line"] == 3


def test_the_endpoint_is_that_of_the_first_line_that_has_one(browser: Browser) -> None:
    bad = build_line(url="/v1/none")
    good = build_line(url="/v1/rerank")
    for data, found in ((bad + b"\nx\n\xef\n" + good, "/v1/rerank"), (bad, None), (b"", None)):
        assert browser.validate(data, CHAT, SETTINGS)["found"] == found


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1" * 4_400])
def test_only_numbers_that_are_too_large_are_left_to_the_server(browser: Browser, number: bytes) -> None:
    data = GOOD[:-2] + b',"n":' + number + b"}}"
    assert [each["code"] for each in plan(data, CHAT, LONG_LINES)[0]] == ["invalid_json_line"]
    assert browser.validate(data, CHAT, LONG_LINES)["errors"] == []


def test_a_very_deep_line_is_invalid_for_both(browser: Browser) -> None:
    data = b'{"custom_id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for errors in (plan(data, CHAT, LONG_LINES)[0], browser.validate(data, CHAT, LONG_LINES)["errors"]):
        assert [each["code"] for each in errors] == ["invalid_json_line"]


# Floats as JSON writes them; integers beyond 53 bits are equal to both, because none is compared.
requests_of_any_shape = st.fixed_dictionaries(
    {},
    optional={
        "custom_id": st.sampled_from(["a", "b", "c"]) | json_values,
        "method": st.just("POST") | json_values,
        "url": st.sampled_from([CHAT, "/v1/embeddings"]) | json_values,
        "body": json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "model": st.sampled_from(["m", "n"]) | json_values,
                "messages": json_values,
                "input": json_values,
                "stream": json_values,
            },
        ),
    },
)
lines = (
    st.binary(max_size=40)
    | requests_of_any_shape.map(lambda value: json.dumps(value).encode())
    | requests_of_any_shape.map(
        lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    )
    | st.sampled_from(LINES)
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(lines, max_size=5), endpoint=st.sampled_from([CHAT, "/v1/embeddings"]), one=st.booleans()
)
def test_any_lines_are_judged_alike(browser: Browser, found: list[bytes], endpoint: str, one: bool) -> None:
    compare(browser, b"\n".join(found), endpoint, ONE_MODEL if one else SETTINGS)
