"""Models of the upstream: whatever its list looks like, only its own word refuses a batch."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.settings import Settings
from tests.upstream import Upstream, only, serving
from tests.world import World, moto_world, requests

LLAMA, OTHER = {"id": "llama-3"}, {"id": "gpt-5"}
DEFAULTS = {"object": "model", "created": 0, "owned_by": ""}
ENTRY = {"id": "org/m", "object": "model", "created": 7, "owned_by": "them", "max_model_len": 4096}
NOT_FOUND = {"error": {"message": "no such model", "type": "x", "param": "model", "code": "model_not_found"}}


@dataclass(frozen=True)
class Said:
    """An answer, as often as it is needed."""

    body: Any
    status: int = 200
    kind: str = "application/json"
    location: str = "/"

    def response(self) -> web.Response:
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        headers = {"location": self.location} if 300 <= self.status < 400 else {}
        return web.Response(text=text, status=self.status, content_type=self.kind, headers=headers)


def lists(upstream: Upstream, body: Any, *, single: Said | None = None) -> list[str]:
    """Serve this list, and `single` for any one model; returns the paths that are asked for."""
    asked: list[str] = []

    def serve(path: str) -> web.Response | None:
        asked.append(path)
        if path == "/v1/models":
            return (body if isinstance(body, Said) else Said(body)).response()
        return single.response() if single else None

    upstream.models = serve
    return asked


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        ({"object": "list", "data": [ENTRY]}, [ENTRY]),
        ([ENTRY], [ENTRY]),
        (
            {"data": [{"id": "m"}, {"id": "n", "owned_by": "us"}]},
            [{"id": "m"}, {"id": "n", "owned_by": "us"}],
        ),
        ({"data": [{"name": "m"}, {"id": None}, {"id": ""}, {"id": 7}, None, ENTRY]}, [ENTRY]),
        (["m"], [{"id": "m"}]),
        ({"object": "list", "data": None}, []),
        ({"object": "list", "data": []}, []),
        (Said("404 page not found", 404, "text/plain"), []),
        (Said({"detail": "Method Not Allowed"}, 405), []),
    ],
)
def test_a_list_of_models_is_openais_whatever_the_server_sends(
    nightlane: World, upstream: Upstream, body: Any, listed: list[dict[str, Any]]
) -> None:
    lists(upstream, body)
    expected = {"object": "list", "data": [DEFAULTS | each for each in listed]}
    assert nightlane.call("GET", "/models") == (200, expected)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Said("<html>", kind="text/html"), "something that is not a list of models"),
        (Said({"models": []}), "something that is not a list of models"),
        (Said("busy", 503, "text/plain"), "status 503"),
        (Said({"error": "no"}, 401), "status 401"),
        (
            Said("", 308, location="/v2/models"),
            "a redirect (308), which is not followed",
        ),
    ],
)
def test_an_upstream_that_should_have_a_list_and_sends_none_is_a_502(
    nightlane: World, upstream: Upstream, response: Said, reason: str
) -> None:
    asked = lists(upstream, response)
    status, body = nightlane.call("GET", "/models")
    assert status == 502
    assert reason in body["error"]["message"]
    assert asked == ["/v1/models"]


def test_a_list_too_long_for_an_answer_keeps_openais_fields(nightlane: World, upstream: Upstream) -> None:
    many = [{"id": f"vendor/m-{number}", "description": "d" * 300} for number in range(20_000)]
    lists(upstream, {"data": many})
    status, body = nightlane.call("GET", "/models")
    assert status == 200
    assert body["data"] == [DEFAULTS | {"id": each["id"]} for each in many]


@pytest.mark.parametrize(
    "single",
    [
        None,
        Said({"detail": "Not Found"}, 404),
        Said("<html>", kind="text/html"),
        Said({"object": "list", "data": [ENTRY]}),
        Said("no", 500, "text/plain"),
    ],
)
def test_a_model_is_looked_up_in_the_list_if_it_has_no_answer_of_its_own(
    nightlane: World, upstream: Upstream, single: Said | None
) -> None:
    asked = lists(upstream, [ENTRY], single=single)
    assert nightlane.call("GET", "/models/org/m") == (200, ENTRY)
    assert asked == ["/v1/models/org%2Fm", "/v1/models"]


def test_the_upstreams_own_answer_for_a_model_is_passed_through(nightlane: World, upstream: Upstream) -> None:
    asked = lists(upstream, [], single=Said(ENTRY))
    assert nightlane.call("GET", "/models/org%2Fm") == (200, ENTRY)
    assert asked == ["/v1/models/org%2Fm"]


@pytest.mark.parametrize("single", [None, Said(NOT_FOUND, 404), Said("Bad Request", 400, "text/plain")])
@pytest.mark.parametrize("body", [[ENTRY], Said("none", 404, "text/plain")])
def test_a_model_that_is_nowhere_is_a_404(
    nightlane: World, upstream: Upstream, single: Said | None, body: Any
) -> None:
    lists(upstream, body, single=single)
    status, answer = nightlane.call("GET", "/models/org/other")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("model", ["%00", "a%0Ab", "..", ".", ";", "a;b", "%ff%fe%00"])
def test_an_id_that_no_upstream_could_have_is_a_404_without_asking(
    nightlane: World, upstream: Upstream, model: str
) -> None:
    asked = lists(upstream, Said("down", 503, "text/plain"))
    status, answer = nightlane.call("GET", f"/models/{model}")
    assert (status, answer["error"]["code"], asked) == (404, "model_not_found", [])


@pytest.mark.parametrize(
    "single",
    [
        None,
        Said({"detail": "Not Found"}, 404),
        Said({"error": {"message": "model 'm' not found", "type": "not_found_error", "code": None}}, 404),
        Said({"error": "model_not_found"}, 404),
        Said({"error": {"code": "model_not_found"}}, 500),
        Said({"error": {"code": "invalid_api_key"}}, 401),
        Said(["model_not_found"], 404),
    ],
)
def test_a_batch_runs_whatever_is_listed_if_the_upstream_does_not_say_that_its_model_is_missing(
    nightlane: World, upstream: Upstream, single: Said | None
) -> None:
    lists(upstream, ["mock-small:latest", "openai/*", "/models/some-7b.gguf"], single=single)
    batch_id = nightlane.create(nightlane.upload(requests(2)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 2)


def test_a_batch_is_refused_if_the_upstream_says_that_the_model_does_not_exist(
    nightlane: World, upstream: Upstream
) -> None:
    asked = lists(upstream, ["mock-small"], single=Said(NOT_FOUND, 404))
    batch_id = nightlane.create(nightlane.upload(requests(2)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, not upstream.raw) == (BatchStatus.FAILED, True)
    assert [(error.code, error.line) for error in batch.errors] == [
        ("model_not_found", 1),
        ("model_not_found", 2),
    ]
    assert asked == ["/v1/models/mock-small"]


@pytest.fixture
def two() -> Iterator[tuple[World, Upstream, Upstream]]:
    """A world with an upstream for `llama-*`, and one for everything else."""
    with serving(Upstream()) as first, serving(Upstream()) as second:
        upstreams = (
            *only(first.url, name="first", models=["llama-*", "own"], rewrite={"fast": "llama-3"}),
            *only(second.url, name="second"),
        )
        with moto_world(Settings(upstreams=upstreams)) as world:
            yield world, first, second


def listed_ids(world: World) -> list[str]:
    status, body = world.call("GET", "/models")
    assert (status, body["object"]) == (200, "list")
    return [each["id"] for each in body["data"]]


def test_the_lists_of_all_upstreams_are_joined_and_have_what_a_batch_may_use(
    two: tuple[World, Upstream, Upstream],
) -> None:
    world, first, second = two
    # What goes to another upstream than the one that lists it is left out.
    lists(first, [LLAMA, OTHER])
    lists(second, {"data": [ENTRY, LLAMA | {"owned_by": "second"}]})
    assert listed_ids(world) == ["llama-3", "fast", "own", "org/m"]
    _, body = world.call("GET", "/models")
    assert body["data"][0] == DEFAULTS | LLAMA


@pytest.mark.parametrize(
    "body", [Said("busy", 503, "text/plain"), Said({"message": "no"}, 403), Said("none", 404, "text/plain")]
)
def test_an_upstream_without_a_list_does_not_hide_the_others(
    two: tuple[World, Upstream, Upstream], body: Said
) -> None:
    world, first, second = two
    lists(first, body)
    lists(second, [ENTRY])
    assert listed_ids(world) == ["fast", "own", "org/m"]


def test_a_model_is_asked_for_at_its_upstream_under_the_name_that_it_has_there(
    two: tuple[World, Upstream, Upstream],
) -> None:
    world, first, second = two
    asked = lists(first, [], single=Said(LLAMA | {"owned_by": "them"}))
    asked_second = lists(second, [], single=Said(NOT_FOUND, 404))
    expected = {"id": "fast", "owned_by": "them"}
    assert world.call("GET", "/models/fast") == (200, expected)
    assert (asked, asked_second) == (["/v1/models/llama-3"], [])
    assert world.call("GET", "/models/gpt-5")[0] == 404
    assert asked_second == ["/v1/models/gpt-5"]


def test_a_model_without_an_answer_of_its_own_is_found_among_those_that_the_operator_named(
    two: tuple[World, Upstream, Upstream],
) -> None:
    assert two[0].call("GET", "/models/own") == (200, DEFAULTS | {"id": "own"})


def test_a_batch_may_mix_models_of_several_upstreams_and_each_is_asked_for_its_own(
    two: tuple[World, Upstream, Upstream],
) -> None:
    world, first, second = two
    asked_first, asked_second = lists(first, []), lists(second, [], single=Said(NOT_FOUND, 404))
    lines = requests(3)
    for model in (b"fast", b"llama-3", b"gpt-5"):
        lines = lines.replace(b'"mock-small"', b'"%b"' % model, 1)
    batch_id = world.create(world.upload(lines))
    world.run()
    batch = world.batch(batch_id)
    assert [(error.code, error.line) for error in batch.errors] == [("model_not_found", 3)]
    assert (asked_first, asked_second) == (["/v1/models/llama-3"] * 2, ["/v1/models/gpt-5"])


def test_a_batch_for_a_model_that_no_upstream_takes_is_refused_without_asking() -> None:
    with serving(Upstream()) as upstream:
        asked = lists(upstream, [ENTRY])
        with moto_world(Settings(upstreams=only(upstream.url, models=["org/*"]))) as world:
            batch_id = world.create(world.upload(requests(2)))
            world.run()
            batch = world.batch(batch_id)
            assert batch.status is BatchStatus.FAILED
            assert {error.code for error in batch.errors} == {"model_not_found"}
            assert asked == []
            assert world.call("GET", "/models/mock-small")[0] == 404
