"""Line validation returns OpenAI's codes, messages and params, at most one error per line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.endpoints import ENDPOINTS, Endpoint
from nightlane.domain.line_checks import (
    MAX_ERRORS,
    MAX_MODELS_ASKED,
    ErrorList,
    Invalid,
    LineChecker,
    ModelChecker,
)
from nightlane.upstream_settings import UpstreamSettings

CHAT = "/v1/chat/completions"
ONE = (UpstreamSettings(name="one", url="http://one.test/v1"),)
MANY = (
    UpstreamSettings(name="llama", url="http://l.test/v1", models=("llama-*",), rewrite={"fast": "l"}),
    UpstreamSettings(name="openai", url="http://o.test/v1", models=("gpt-*", "omni-*")),
)


def build_line(**changes: Any) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | changes.pop("body_changes", {})
    request = {"custom_id": "a", "method": "POST", "url": CHAT, "body": body} | changes
    return json.dumps({key: value for key, value in request.items() if value is not ...}).encode()


def served(_model: str) -> bool:
    """Of an upstream that takes any name."""
    return False


def checker_of(
    endpoint: str = CHAT,
    is_missing: Callable[[str], bool] = served,
    upstreams: tuple[UpstreamSettings, ...] = ONE,
    *,
    only_one: bool = False,
) -> LineChecker:
    return LineChecker(endpoint, ModelChecker(upstreams, is_missing, only_one=only_one))


def check_invalid(
    data: bytes, endpoint: str = CHAT, is_missing: Callable[[str], bool] = served
) -> tuple[str, str, str | None]:
    with pytest.raises(Invalid) as caught:
        checker_of(endpoint, is_missing).check(data)
    return caught.value.code, caught.value.message, caught.value.param


def test_a_valid_line_passes_and_sets_the_model() -> None:
    checker = checker_of(CHAT)
    checker.check(build_line())
    assert checker.model == "m"


@pytest.mark.parametrize("key", ["custom_id", "method", "url", "body"])
@pytest.mark.parametrize("value", [..., None])
def test_a_missing_key_is_named(key: str, value: Any) -> None:
    expected = ("missing_required_parameter", f"Missing required parameter: '{key}'.", key)
    assert check_invalid(build_line(**{key: value})) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no json",
        b'{"a":1',
        b'{"a":NaN}',
        b"[" * 100_000,
        b'{"a":"\\ud83d\\ude00',
        b'{"a":"\\\\ud800"',
    ],
)
def test_invalid_json_is_not_parseable(data: bytes) -> None:
    assert check_invalid(data) == ("invalid_json_line", "This line is not parseable as valid JSON.", None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":"caf\xe9"}', "Must be utf-8 encoded: the byte 0xE9 is not UTF-8."),
        (b'{"a":"\xe4\xb8', "Must be utf-8 encoded: the byte 0xE4 is not UTF-8."),
        (b'"\xed\xa0\x80"', "Must be utf-8 encoded: the byte 0xED is not UTF-8."),
        (b'"\xc0\x80"', "Must be utf-8 encoded: the byte 0xC0 is not UTF-8."),
        ("{}".encode("utf-16"), "Must be utf-8 encoded: it begins with the byte order mark of UTF-16."),
        ("{}".encode("utf-16-be"), "Must be utf-8 encoded: there is a byte 0x00, as in UTF-16."),
        (b'{"a":"\\\\ud800 \\ud83d"}', "The escape \\ud83d is half of a pair of surrogates"),
        (b'{"a":"\\uD83D\\uDE00\\uDE00"}', "The escape \\uDE00 is half of a pair of surrogates"),
        (b'{"a":"\\ud83d\\\\ude00"}', "The escape \\ud83d is half of a pair of surrogates"),
    ],
)
def test_a_line_that_is_not_text_says_why(data: bytes, reason: str) -> None:
    code, message, _ = check_invalid(data)
    assert code == "invalid_json_line"
    assert message.startswith(f"This line is not parseable as valid JSON. {reason}")


@pytest.mark.parametrize(("data", "kind"), [(b"[]", "an array"), (b"1", "an integer"), (b"null", "null")])
def test_a_line_that_is_not_an_object_is_invalid(data: bytes, kind: str) -> None:
    assert check_invalid(data) == (
        "invalid_json_line",
        f"This line is not a JSON object: it is {kind}.",
        None,
    )


@pytest.mark.parametrize("depth", [300, 100_000])
def test_a_deeply_nested_line_is_invalid(depth: int) -> None:
    # The parser's own limit depends on the Python version.
    code, message, _ = check_invalid(b'{"custom_id":' + b"[" * depth + b"]" * depth + b"}")
    assert code == "invalid_json_line"
    assert "200 levels" in message or "not parseable" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"custom_id": 7},
            ("invalid_type", "Invalid type for 'custom_id': expected a string, but got an integer instead."),
        ),
        (
            {"body": "x"},
            ("invalid_type", "Invalid type for 'body': expected an object, but got a string instead."),
        ),
        ({"method": "GET"}, ("invalid_value", "Invalid value: 'GET'. Supported values are: 'POST'.")),
        (
            {"url": "/v1/embeddings"},
            (
                "invalid_url",
                "The URL provided for this request does not match the batch endpoint: '/v1/embeddings' "
                "is not '/v1/chat/completions'.",
            ),
        ),
        (
            {"body_changes": {"stream": True}},
            (
                "streaming_unsupported",
                "Chat Completions: Streaming is not supported in the Batch API.",
            ),
        ),
        ({"body": {"messages": []}}, ("invalid_request", "Model parameter is required.")),
        ({"body": {"model": "m"}}, ("invalid_request", "Messages parameter is required.")),
        (
            {"body_changes": {"model": "nope"}},
            ("model_not_found", "The provided model 'nope' is not supported by the Batch API."),
        ),
    ],
)
def test_an_invalid_value_gets_openais_code_and_message(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert check_invalid(build_line(**changes), is_missing=lambda model: model != "m")[:2] == expected


def test_stream_false_is_valid() -> None:
    checker_of(CHAT).check(build_line(body_changes={"stream": False}))


def test_a_custom_id_may_be_used_only_once() -> None:
    checker = checker_of(CHAT)
    checker.check(build_line())
    with pytest.raises(Invalid, match="custom_id 'a' for this request is a duplicate") as caught:
        checker.check(build_line())
    assert (caught.value.code, caught.value.param) == ("duplicate_custom_id", "custom_id")


def with_model(model: str, custom_id: str = "a") -> bytes:
    return build_line(custom_id=custom_id, body_changes={"model": model})


def test_a_batch_may_mix_models_and_each_line_has_its_upstream() -> None:
    checker = checker_of(upstreams=MANY)
    models = ["llama-3", "fast", "gpt-5", "llama-3"]
    found = [checker.check(with_model(model, str(number))).upstream for number, model in enumerate(models)]
    assert found == ["llama", "llama", "openai", "llama"]
    assert checker.model is None


def test_a_second_model_is_refused_if_a_batch_may_have_only_one() -> None:
    checker = checker_of(upstreams=MANY, only_one=True)
    assert checker.check(with_model("gpt-5")).upstream == "openai"
    with pytest.raises(Invalid, match="single model") as caught:
        checker.check(with_model("llama-3", "b"))
    assert (caught.value.code, caught.value.param) == ("mismatched_model", "body.model")
    assert checker.check(with_model("gpt-5", "c")).upstream == "openai"
    assert checker.model == "gpt-5"


@pytest.mark.parametrize("model", ["claude", "GPT-5", "x" * 300])
def test_a_model_that_no_upstream_takes_is_not_found(model: str) -> None:
    with pytest.raises(Invalid, match="is not supported by the Batch API") as caught:
        checker_of(upstreams=MANY).check(with_model(model))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "body.model")
    assert len(caught.value.message) < 300


def test_the_upstream_is_asked_once_for_each_model() -> None:
    asked: list[str] = []

    def missing(model: str) -> bool:
        asked.append(model)
        return model == "m"

    checker, codes = checker_of(is_missing=missing), []
    for number, model in enumerate(["m", "m", "other", "m", "other"]):
        try:
            codes.append(checker.check(with_model(model, str(number))).upstream)
        except Invalid as invalid:
            codes.append(invalid.code)
    assert asked == ["m", "other"]
    assert codes == ["model_not_found", "model_not_found", "one", "model_not_found", "one"]


def test_the_upstream_is_asked_for_a_limited_number_of_models() -> None:
    asked: list[str] = []

    def served_if_asked(model: str) -> bool:
        asked.append(model)
        return False

    checker = checker_of(is_missing=served_if_asked)
    for number in range(MAX_MODELS_ASKED + 5):
        assert checker.check(with_model(f"m-{number}", str(number))).upstream == "one"
    assert asked == [f"m-{number}" for number in range(MAX_MODELS_ASKED)]


def test_a_moderation_without_a_model_goes_to_the_upstream_of_openais_default() -> None:
    checker = checker_of("/v1/moderations", upstreams=MANY, only_one=True)
    line = build_line(url="/v1/moderations", body={"input": "hi"})
    assert checker.check(line).upstream == "openai"
    assert checker.model is None
    assert checker.check(
        build_line(url="/v1/moderations", custom_id="b", body={"input": "", "model": "gpt-5"})
    )


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", {"model": "m", "messages": []}),
        ("/v1/completions", {"model": "m", "prompt": "x"}),
        ("/v1/embeddings", {"model": "m", "input": "x"}),
        ("/v1/responses", {"model": "m", "input": "x"}),
        ("/v1/moderations", {"input": "x"}),
        ("/v1/images/generations", {"prompt": "x"}),
        ("/v1/images/edits", {"images": [{"file_id": "file-1"}], "prompt": "x"}),
        ("/v1/images/edits", {"prompt": "x", "images": [{"file_id": "file-1"}]}),
    ],
)
def test_every_endpoint_has_its_required_fields(endpoint: str, body: dict[str, Any]) -> None:
    checker_of(endpoint).check(build_line(url=endpoint, body=body))
    field = list(body)[-1]
    without = {key: value for key, value in body.items() if key != field}
    code, message, param = check_invalid(build_line(url=endpoint, body=without), endpoint)
    assert (code, param) == ("invalid_request", f"body.{field}")
    assert message == f"{field.capitalize()} parameter is required."


@pytest.mark.parametrize(("endpoint", "rules"), ENDPOINTS.items(), ids=ENDPOINTS)
def test_a_model_is_required_where_openai_has_no_default(endpoint: str, rules: Endpoint) -> None:
    body = {name: "x" for names in rules.required for name in names}
    line = build_line(url=endpoint, body=body)
    if rules.needs_model:
        assert check_invalid(line, endpoint)[1:] == ("Model parameter is required.", "body.model")
    else:
        checker_of(endpoint).check(line)


@pytest.mark.parametrize(
    "body", [{}, {"model": "m"}, {"query": "a", "documents": ["b"]}, {"model": "m", "stream": False}]
)
def test_the_body_of_an_extra_endpoint_may_have_any_fields(body: dict[str, Any]) -> None:
    checker_of("/v1/rerank").check(build_line(url="/v1/rerank", body=body))


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ([], "invalid_type", "body"),
        ("x", "invalid_type", "body"),
        ({"model": 4}, "invalid_request", "body.model"),
        ({"model": "other"}, "model_not_found", "body.model"),
        ({"stream": True}, "streaming_unsupported", "body.stream"),
    ],
)
def test_the_envelope_of_an_extra_endpoint_is_checked_and_its_model_if_it_has_one(
    body: Any, code: str, param: str
) -> None:
    line = build_line(url="/v1/rerank", body=body)
    assert check_invalid(line, "/v1/rerank", lambda model: model != "m")[::2] == (code, param)


def test_the_inputs_of_all_embedding_lines_are_limited_in_total() -> None:
    checker = checker_of("/v1/embeddings")
    big = {"model": "m", "input": ["x"] * 49_999}
    checker.check(build_line(url="/v1/embeddings", body=big))
    checker.check(build_line(url="/v1/embeddings", custom_id="b", body={"model": "m", "input": [1, 2, 3]}))
    with pytest.raises(Invalid, match="50000 embedding inputs"):
        checker.check(build_line(url="/v1/embeddings", custom_id="c", body={"model": "m", "input": "x"}))


def test_a_hundred_errors_are_reported_and_the_rest_are_counted() -> None:
    errors = ErrorList()
    for number in range(1, 251):
        errors.add(Invalid("invalid_url", "wrong"), number)
    reported = errors.errors()
    assert [error.line for error in reported] == list(range(1, MAX_ERRORS + 1))
    assert reported[-1].message == "wrong (150 more lines have errors.)"


@contextmanager
def passing_through() -> Iterator[None]:
    yield


def test_the_exception_for_an_invalid_line_passes_through_a_context_manager() -> None:
    with pytest.raises(Invalid) as caught, passing_through():
        checker_of(CHAT).check(b"no json")
    assert str(caught.value) == caught.value.message == "This line is not parseable as valid JSON."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


@given(
    endpoint=st.sampled_from([*ENDPOINTS, "/v1/rerank"]),
    data=st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {},
        optional={
            "custom_id": st.just("a") | json_values,
            "method": st.just("POST") | json_values,
            "url": st.sampled_from([*ENDPOINTS, "/v1/rerank"]) | json_values,
            "body": json_values
            | st.fixed_dictionaries(
                {},
                optional={"model": st.just("m") | json_values, "input": json_values, "stream": json_values},
            ),
        },
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_bytes_are_valid_or_get_a_code(endpoint: str, data: bytes) -> None:
    invalid: Invalid | None = None
    try:
        checker_of(endpoint).check(data)
    except Invalid as error:
        invalid = error
    if invalid is None:
        assert json.loads(data)["custom_id"] is not None
    else:
        assert invalid.code
        assert invalid.message
