"""The mock model's responses are valid for a strict OpenAI client, and it refuses what OpenAI refuses."""

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from infra.cli.mock.model import ROUTES
from infra.cli.mock.process import MockUpstream
from infra.cli.mock.requests import Invalid, read

JSON = {"Content-Type": "application/json"}
CHAT = {"model": "mock-small", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
GOOD: list[tuple[str, dict[str, Any], type[BaseModel]]] = [
    ("chat/completions", CHAT, ChatCompletion),
    ("chat/completions", CHAT | {"n": 3}, ChatCompletion),
    (
        "chat/completions",
        CHAT
        | {
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b"}}],
                },
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
                {"role": "tool", "tool_call_id": "c", "content": "sunny"},
            ]
        },
        ChatCompletion,
    ),
    ("completions", {"model": "mock-small", "prompt": "hi"}, Completion),
    ("completions", {"model": "mock-small", "prompt": ["a", "b"], "n": 2}, Completion),
    ("completions", {"model": "mock-small", "prompt": [[1, 2], [3]]}, Completion),
    ("embeddings", {"model": "mock-embedding", "input": "hi"}, CreateEmbeddingResponse),
    ("embeddings", {"model": "mock-embedding", "input": [5, 6, 7]}, CreateEmbeddingResponse),
    (
        "embeddings",
        {"model": "mock-embedding", "input": ["a", "b"], "dimensions": 8},
        CreateEmbeddingResponse,
    ),
    ("responses", {"model": "mock-large", "input": "hi"}, Response),
    (
        "responses",
        {
            "model": "mock-large",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "function_call_output", "call_id": "c", "output": "sunny"},
            ],
            "instructions": "Be brief.",
            "metadata": {"team": "a"},
            "reasoning": {"effort": "low"},
            "store": False,
            "temperature": 0,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "weather"},
            "truncation": "auto",
            "user": "u",
        },
        Response,
    ),
    ("moderations", {"model": "mock-moderation", "input": ["a", "b"]}, ModerationCreateResponse),
    ("moderations", {"input": [{"type": "text", "text": "a"}]}, ModerationCreateResponse),
    ("images/generations", {"model": "mock-image", "prompt": "a cat", "n": 2}, ImagesResponse),
    ("images/generations", {"prompt": "a cat"}, ImagesResponse),
    ("images/edits", {"prompt": "a hat", "images": [{"file_id": "file-1"}]}, ImagesResponse),
    ("images/edits", {"prompt": "a hat", "image": "data:image/png;base64,AA=="}, ImagesResponse),
]
MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"
BAD: list[tuple[str, Any, str | None, str | None]] = [
    ("chat/completions", b"{", None, None),
    ("chat/completions", b'{"model":"\xff"}', None, None),
    ("chat/completions", b"[" * 100_000, None, None),
    ("chat/completions", [], None, None),
    ("chat/completions", {"messages": CHAT["messages"]}, MISSING, "model"),
    ("chat/completions", {"model": "mock-small"}, MISSING, "messages"),
    ("chat/completions", CHAT | {"model": 4}, TYPE, "model"),
    ("chat/completions", CHAT | {"messages": []}, "empty_array", "messages"),
    ("chat/completions", CHAT | {"messages": "hi"}, TYPE, "messages"),
    ("chat/completions", CHAT | {"messages": ["hi"]}, TYPE, "messages[0]"),
    ("chat/completions", CHAT | {"messages": [{"content": "hi"}]}, MISSING, "messages[0].role"),
    ("chat/completions", CHAT | {"messages": [{"role": "user"}]}, MISSING, "messages[0].content"),
    ("chat/completions", CHAT | {"messages": [{"role": "bot", "content": ""}]}, VALUE, "messages[0].role"),
    ("chat/completions", CHAT | {"messages": [{"role": "user", "content": 4}]}, TYPE, "messages[0].content"),
    (
        "chat/completions",
        CHAT | {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        MISSING,
        "messages[0].content[0].type",
    ),
    ("chat/completions", CHAT | {"n": 0}, VALUE, "n"),
    ("completions", {"model": "mock-small"}, MISSING, "prompt"),
    ("completions", {"model": "mock-small", "prompt": ["a", 1]}, TYPE, "prompt"),
    ("embeddings", {"model": "mock-embedding"}, MISSING, "input"),
    ("embeddings", {"model": "mock-embedding", "input": []}, "empty_array", "input"),
    ("embeddings", {"model": "mock-embedding", "input": "a", "dimensions": 0}, VALUE, "dimensions"),
    (
        "embeddings",
        {"model": "mock-embedding", "input": "a", "encoding_format": "x"},
        VALUE,
        "encoding_format",
    ),
    ("responses", {"model": "mock-large"}, MISSING, "input"),
    ("responses", {"model": "mock-large", "input": [{"content": "hi"}]}, MISSING, "input[0].role"),
    ("responses", {"model": "mock-large", "input": "hi", "truncation": "no"}, VALUE, "truncation"),
    ("moderations", {}, MISSING, "input"),
    ("images/generations", {}, MISSING, "prompt"),
    ("images/generations", {"prompt": "a cat", "n": 11}, VALUE, "n"),
    ("images/edits", {"prompt": "a hat"}, MISSING, "images"),
    ("images/edits", {"prompt": "a hat", "images": []}, "empty_array", "images"),
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as serving:
        yield serving


@pytest.fixture(scope="module")
def client(upstream: MockUpstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=upstream.url, api_key="none", max_retries=0) as made:
        yield made


def send(upstream: MockUpstream, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib3.PoolManager() as pool:
        answer = pool.request(method, f"{upstream.url}/{path}", body=data, headers=JSON, retries=False)
        return answer.status, answer.data


def unknown_fields(value: Any) -> set[str]:
    """Return the fields, at any depth, that the official client does not declare."""
    if isinstance(value, list):
        return set().union(*map(unknown_fields, value))
    if not isinstance(value, BaseModel):
        return set()
    nested = (unknown_fields(getattr(value, name)) for name in type(value).model_fields)
    return set(value.model_extra or {}).union(*nested)


@pytest.mark.parametrize(("path", "body", "model"), GOOD)
def test_responses_match_the_types_of_the_official_client(
    upstream: MockUpstream, path: str, body: dict[str, Any], model: type[BaseModel]
) -> None:
    status, data = send(upstream, "POST", path, body)
    assert status == 200, data
    answer = model.model_validate_json(data, strict=True)
    # `store` is documented, but missing in the client's type.
    assert unknown_fields(answer) <= {"store"}


def test_every_batch_endpoint_is_tested() -> None:
    assert {f"/v1/{path}" for path, _, _ in GOOD} == set(ROUTES)


def test_a_response_repeats_the_parameters_of_its_request(upstream: MockUpstream) -> None:
    body = next(body for path, body, _ in GOOD if path == "responses" and "tools" in body)
    _, data = send(upstream, "POST", "responses", body)
    answer = json.loads(data)
    for name in ("instructions", "metadata", "store", "temperature", "tool_choice", "truncation", "user"):
        assert answer[name] == body[name]
    assert answer["reasoning"] == {"effort": "low", "summary": None}
    assert answer["tools"] == [TOOL | {"description": None, "strict": True}]
    _, data = send(upstream, "POST", "responses", {"model": "mock-large", "input": "hi"})
    defaults = json.loads(data)
    assert (defaults["store"], defaults["top_p"], defaults["parallel_tool_calls"]) == (True, 1.0, True)
    for name in ("error", "incomplete_details", "max_output_tokens", "previous_response_id"):
        assert name in defaults
        assert defaults[name] is None


def test_the_official_client_can_call_every_endpoint(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="mock-small", messages=[{"role": "user", "content": "hi"}], n=2
    )
    assert [choice.index for choice in chat.choices] == [0, 1]
    assert all(choice.message.content and choice.finish_reason == "stop" for choice in chat.choices)
    completion = client.completions.create(model="mock-small", prompt=["a", "b"])
    assert [choice.index for choice in completion.choices] == [0, 1]
    response = client.responses.create(model="mock-large", input="hi")
    assert response.output_text.endswith(".")
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    moderation = client.moderations.create(input=["a", "b"])
    assert [result.flagged for result in moderation.results] == [False, False]
    images = client.images.generate(prompt="a cat", n=2)
    assert len(images.data or []) == 2


def test_an_image_is_a_png_of_one_pixel(client: openai.OpenAI) -> None:
    (image,) = client.images.generate(prompt="a cat").data or []
    data = base64.b64decode(image.b64_json or "")
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, data[8:]
    while rest:
        length = int.from_bytes(rest[:4], "big")
        kind, content, checksum = rest[4:8], rest[8 : 8 + length], rest[8 + length : 12 + length]
        assert zlib.crc32(kind + content) == int.from_bytes(checksum, "big")
        chunks[kind], rest = content, rest[12 + length :]
    assert [*chunks] == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == 1 + 3


def test_embeddings_are_equal_as_floats_and_in_base64(client: openai.OpenAI) -> None:
    texts = ["a", "b"]
    # By default, the client asks for base64 and decodes it.
    packed = client.embeddings.create(model="mock-embedding", input=texts, dimensions=8)
    plain = client.embeddings.create(
        model="mock-embedding", input=texts, dimensions=8, encoding_format="float"
    )
    assert [len(each.embedding) for each in packed.data] == [8, 8]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert sum(number**2 for number in one.embedding) == pytest.approx(1, abs=1e-5)
    assert packed.data[0].embedding != packed.data[1].embedding
    tokens = client.embeddings.create(model="mock-embedding", input=[[1, 2, 3], [4]])
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (2, 4)


@pytest.mark.parametrize(("path", "body", "code", "param"), BAD)
def test_malformed_requests_are_refused_with_400(
    upstream: MockUpstream, path: str, body: Any, code: str | None, param: str | None
) -> None:
    status, data = send(upstream, "POST", path, body)
    error = json.loads(data)["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert (param or "") in error["message"]


@settings(deadline=None)
@given(
    body=st.recursive(
        st.none() | st.integers() | st.text() | st.sampled_from(["mock-small", "user", "text"]),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["model", "messages", "role", "content", "input", "prompt", "type", "text"]),
                inner,
            )
        ),
    )
)
def test_any_json_gets_a_response_or_a_refusal(body: Any) -> None:
    for route in ROUTES.values():
        try:
            asked = read(route.decoder, json.dumps(body).encode())
        except Invalid:
            continue
        assert json.dumps(route.answer(asked, 1))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "chat/complete", 404, None),
        ("GET", "files", 404, None),
        ("GET", "chat/completions", 405, "method_not_supported"),
        ("DELETE", "embeddings", 405, "method_not_supported"),
        ("POST", "models", 405, "method_not_supported"),
        ("GET", "models/gpt-9", 404, "model_not_found"),
    ],
)
def test_wrong_paths_methods_and_models_are_refused(
    upstream: MockUpstream, method: str, path: str, status: int, code: str | None
) -> None:
    answered, data = send(upstream, method, path)
    error = json.loads(data)["error"]
    assert (answered, error["code"], set(error)) == (status, code, {"message", "type", "param", "code"})


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="gpt-9", input="hi")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
