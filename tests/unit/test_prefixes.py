"""The prefix of a request: what an endpoint computes only once for requests that share it."""

from typing import Any

import pytest

from nightlane.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, ENDPOINTS, RESPONSES
from nightlane.domain.prefixes import MIN_PREFIX_BYTES, Prefix, prefix_of

LONG = "You translate from English to French. " * 20
OTHER = "You translate from French to English. " * 20
SHORT = "You are a helpful assistant."


def chat(*messages: tuple[str, Any], **body: Any) -> Prefix | None:
    listed = [{"role": role, "content": content} for role, content in messages]
    return prefix_of(CHAT, {"model": "m", "messages": listed} | body)


def test_requests_with_the_same_system_prompt_share_a_prefix() -> None:
    first, second = (chat(("system", LONG), ("user", question)) for question in ("a", "b"))
    assert first is not None
    assert first == second
    assert first.size > len(LONG)


@pytest.mark.parametrize(
    "other",
    [
        chat(("system", OTHER), ("user", "a")),
        chat(("developer", LONG), ("user", "a")),
        chat(("system", LONG), ("system", OTHER), ("user", "a")),
        chat(("system", LONG), ("user", "a"), tools=[{"type": "function"}]),
        chat(("system", LONG), ("user", "a"), model="n"),
        chat(("user", LONG)),
    ],
)
def test_another_role_prompt_tool_or_model_is_another_prefix(other: Prefix | None) -> None:
    assert other is not None
    assert other != chat(("system", LONG), ("user", "a"))


def test_an_instruction_after_the_first_question_is_not_part_of_the_prefix() -> None:
    first = chat(("system", LONG), ("user", "a"), ("system", SHORT))
    assert first == chat(("system", LONG), ("user", "b"))


def test_without_long_instructions_the_beginning_of_the_question_counts() -> None:
    first, second = (chat(("system", SHORT), ("user", LONG + end)) for end in ("a", "b"))
    assert first == second
    assert first is not None
    assert first.size == MIN_PREFIX_BYTES
    assert first != chat(("system", SHORT), ("user", OTHER))
    in_parts = [{"type": "text", "text": LONG}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert chat(("user", in_parts)) == chat(("user", LONG))


def test_responses_share_their_instructions_or_the_beginning_of_their_input() -> None:
    body = {"model": "m", "instructions": LONG}
    assert prefix_of(RESPONSES, body | {"input": "a"}) == prefix_of(RESPONSES, body | {"input": "b"})
    messages = [{"role": "developer", "content": LONG}, {"role": "user", "content": "a"}]
    assert prefix_of(RESPONSES, {"model": "m", "input": messages}) is not None
    long = {"model": "m", "input": LONG + "a"}
    assert prefix_of(RESPONSES, long) == prefix_of(RESPONSES, {"model": "m", "input": LONG + "b"})


@pytest.mark.parametrize("prompt", [LONG, [LONG], list(range(300)), [list(range(300))]])
def test_completions_share_the_beginning_of_their_prompt(prompt: Any) -> None:
    prefix = prefix_of(COMPLETIONS, {"model": "m", "prompt": prompt})
    assert prefix is not None
    assert prefix.size == MIN_PREFIX_BYTES


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_short_prompts_have_no_prefix(endpoint: str) -> None:
    messages = [{"role": "system", "content": SHORT}, {"role": "user", "content": "a"}]
    body = {"model": "m", "messages": messages, "input": SHORT, "prompt": SHORT}
    assert prefix_of(endpoint, body) is None


def test_embeddings_have_no_prefix() -> None:
    assert prefix_of(EMBEDDINGS, {"model": "m", "input": LONG}) is None


ODD: list[Any] = [None, 1, "x", [], {}, [None], [1], [[]], [{}], [{"role": "user"}], [{"role": []}]]


@pytest.mark.parametrize("value", [*ODD, *([{"role": "user", "content": each}] for each in ODD)])
def test_odd_prompts_have_no_prefix_and_are_no_error(value: Any) -> None:
    for endpoint in ENDPOINTS:
        assert prefix_of(endpoint, {"model": "m", "messages": value, "input": value, "prompt": value}) is None


def test_a_lone_surrogate_is_no_error() -> None:
    assert chat(("system", LONG + chr(0xD800))) is None
    assert chat(("system", LONG), model="m" + chr(0xD800)) is not None
