"""A model goes to the first upstream that takes it, under that upstream's name; nothing else changes."""

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.routing import Route, find_route, first_unreachable, rewrite_model

NAMES = {"fast": "llama-3.1-8b", "größer": 'quoted "name"', "": "nothing"}


@dataclass(frozen=True)
class Named:
    name: str
    models: tuple[str, ...] = ("*",)
    rewrite: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("model", "route"),
    [
        ("llama-3.1-8b", Route("vllm", "llama-3.1-8b")),
        ("fast", Route("vllm", "llama-3.1-8b")),
        ("gpt-5", Route("openai", "gpt-5")),
        ("Llama-3.1-8b", None),
        ("FAST", None),
        ("my-llama-3", None),
        ("", None),
    ],
)
def test_the_first_upstream_whose_patterns_or_names_match_takes_the_model(
    model: str, route: Route | None
) -> None:
    upstreams = [
        Named("vllm", ("llama-*",), {"fast": "llama-3.1-8b"}),
        Named("openai", ("gpt-*", "llama-*", "fast")),
    ]
    assert find_route(upstreams, model) == route


@pytest.mark.parametrize(
    ("models", "unreachable"),
    [
        ([("*",), ("a",)], True),
        ([("a", "*"), ("a-*",)], True),
        ([("llama*",), ("llama-*", "llama?")], True),
        ([("llama-*",), ("llama-3",)], True),
        ([("a-*",), ("b-*",), ("a-1", "b-?")], True),
        ([("llama-*",), ("llama*",)], False),
        ([("llama-?",), ("llama-*",)], False),
        ([("*b]",), ("x[ab]",)], False),
        ([("a",), ("*",)], False),
        ([("a", "b"), ("a", "c")], False),
    ],
)
def test_an_upstream_whose_models_all_go_to_earlier_ones_is_found(
    models: list[tuple[str, ...]], unreachable: bool
) -> None:
    upstreams = [Named(str(number), each) for number, each in enumerate(models)]
    assert first_unreachable(upstreams) == (upstreams[-1] if unreachable else None)


PATTERNS = st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple)


@given(st.lists(PATTERNS, min_size=2, max_size=4), st.lists(st.text("ab", max_size=5), min_size=30))
def test_an_upstream_that_is_called_unreachable_takes_no_model(
    patterns: list[tuple[str, ...]], models: list[str]
) -> None:
    upstreams = [Named(str(number), each) for number, each in enumerate(patterns)]
    unreachable = first_unreachable(upstreams)
    if unreachable is not None:
        for model in models:
            route = find_route(upstreams, model)
            assert route is None or route.upstream != unreachable.name
            assert route is not None or not any(fnmatchcase(model, each) for each in unreachable.models)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"fast"}', b'{"model":"llama-3.1-8b"}'),
        (b'{ "model" :\t"fast" , "n": 1.0}', b'{ "model" :\t"llama-3.1-8b" , "n": 1.0}'),
        (b'{"mod\\u0065l":"f\\u0061st"}', b'{"mod\\u0065l":"llama-3.1-8b"}'),
        ('{"model":"größer"}'.encode(), b'{"model":"quoted \\"name\\""}'),
        (b'{"model":"other","model":"fast"}', b'{"model":"llama-3.1-8b","model":"llama-3.1-8b"}'),
        (b'{"model":7,"model":"fast"}', b'{"model":7,"model":"llama-3.1-8b"}'),
        (
            b'{"a":{"model":"fast"},"b":["model","fast"],"c":"model","model":"fast","d":"\\"model\\":\\"fast"}',
            b'{"a":{"model":"fast"},"b":["model","fast"],"c":"model","model":"llama-3.1-8b",'
            b'"d":"\\"model\\":\\"fast"}',
        ),
    ],
)
def test_only_the_value_of_the_top_level_key_is_replaced(body: bytes, sent: bytes) -> None:
    assert rewrite_model(body, NAMES) == sent


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"fast","model":"other"}',
        b'{"model":"Fast"}',
        b'{"model":null}',
        b'{"model":["fast"]}',
        b'{"Model":"fast"}',
        b'{"metadata":{"model":"fast"}}',
        b'{"n": 1e2,  "messages":[{"role":"user","content":"model"}]}',
    ],
)
def test_a_body_without_a_model_to_replace_stays_as_it_is(body: bytes) -> None:
    assert rewrite_model(body, NAMES) is body


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text() | st.just("fast"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("model"), inner),
    max_leaves=20,
)
PAIRS = st.lists(st.tuples(st.text() | st.just("model"), VALUES | st.sampled_from([*NAMES])))


@given(PAIRS, st.sampled_from([*NAMES]), st.booleans(), st.sampled_from(["", " ", "\n\t "]))
def test_a_parser_finds_the_upstreams_name_and_everything_else_as_it_was(
    pairs: list[tuple[str, Any]], model: str, escaped: bool, space: str
) -> None:
    written = partial(json.dumps, ensure_ascii=escaped)
    pairs = [*pairs, ("model", model)]
    members = (f"{space}{written(key)}{space}:{space}{written(value)}" for key, value in pairs)
    body = ("{" + f"{space},".join(members) + "}").encode()
    sent = json.loads(rewrite_model(body, NAMES), object_pairs_hook=list)
    replaced = [
        (key, NAMES[model] if key == "model" and isinstance(value, str) else value) for key, value in pairs
    ]
    expected = json.loads(
        "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in replaced) + "}",
        object_pairs_hook=list,
    )
    assert sent == expected
    assert dict(sent)["model"] == NAMES[model]
