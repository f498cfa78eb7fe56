"""What an input may have, and what its batch would take: extensions, for the console."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.app import app
from nightlane.domain.endpoints import ENDPOINTS
from nightlane.domain.quotas import Quota, quota_to_text
from nightlane.settings import Settings
from tests.world import World, moto_world, requests

CHAT = "/v1/chat/completions"
UPSTREAMS: Any = (
    {"name": "llama", "url": "http://l.test/v1", "models": ["llama-*"], "max_concurrent_requests": 30},
    {"name": "gpt", "url": "http://g.test/v1", "models": ["gpt-*", "omni-*"]},
)
SETTINGS = Settings(
    upstreams=UPSTREAMS,
    extra_endpoints=("/v1/rerank",),
    max_concurrent_requests_per_batch=50,
    max_batch_lines=10_000,
    one_model_per_batch=True,
)


@pytest.fixture(scope="module")
def nightlane() -> Iterator[World]:
    with moto_world(SETTINGS) as world:
        yield world


def estimate(nightlane: World, *models: dict[str, Any], **changes: Any) -> Any:
    body = {"endpoint": CHAT, "models": [{"requests": 1, "bytes": 100} | each for each in models]} | changes
    return nightlane.call("POST", "/batches/estimate", json.dumps(body).encode())


def test_the_limits_are_those_of_the_settings_and_of_all_endpoints(nightlane: World) -> None:
    status, limits = nightlane.call("GET", "/batches/limits")
    assert status == 200
    assert [each["path"] for each in limits["endpoints"]] == [*ENDPOINTS, "/v1/rerank"]
    assert limits["endpoints"][0]["required"] == [["messages"]]
    assert (limits["max_lines"], limits["max_bytes"]) == (10_000, SETTINGS.max_batch_bytes)
    assert limits["one_model_per_batch"] is True


def test_an_estimate_is_the_one_of_the_command(
    nightlane: World, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = requests(1_000)
    size = len(data) - 1_000
    status, found = estimate(nightlane, {"model": "gpt-5", "requests": 1_000, "bytes": size})
    assert (status, found["requests"], found["requests_in_flight"]) == (200, 1_000, 50)
    assert 100 < found["seconds"] < 110
    path = tmp_path / "in.jsonl"
    path.write_bytes(data)
    shown = CliRunner().invoke(app, ["estimate", str(path), "--limit", "50"], env={"COLUMNS": "100"})
    assert f"{found['aws']['dollars']:.7f}" in shown.stdout
    assert found["aws"]["is_billed"] is True


def test_each_model_goes_to_its_upstream_and_their_limits_add_up(nightlane: World) -> None:
    models = ({"model": "llama-3"}, {"model": "gpt-5"}, {"model": "claude"}, {"model": "gpt-5-mini"})
    _, found = estimate(nightlane, *models)
    assert [each["upstream"] for each in found["models"]] == ["llama", "gpt", None, "gpt"]
    assert found["requests_in_flight"] == 80


def test_requests_without_a_model_go_to_the_upstream_of_the_default(nightlane: World) -> None:
    _, found = estimate(nightlane, {"model": None}, endpoint="/v1/moderations")
    assert found["models"] == [{"model": None, "upstream": "gpt"}]


def test_slower_requests_take_longer_and_cost_more(nightlane: World) -> None:
    many = {"model": "gpt-5", "requests": 5_000, "bytes": 1_000_000}
    fast, slow = (estimate(nightlane, many, seconds_per_request=each)[1] for each in (1, 20))
    assert slow["seconds"] > 10 * fast["seconds"]
    assert slow["aws"]["dollars"] > fast["aws"]["dollars"] > 0


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"models": []}, "models"),
        ({"models": [{"model": "m", "requests": 10_001, "bytes": 9}]}, "models"),
        ({"models": [{"model": "m", "requests": 0, "bytes": 9}]}, "models.0.requests"),
        ({"models": [{"model": "", "requests": 1, "bytes": 9}]}, "models.0.model"),
        ({"endpoint": "/v1/none"}, "endpoint"),
        ({"seconds_per_request": 0}, "seconds_per_request"),
        ({"answer_bytes": "1"}, "answer_bytes"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_invalid_parameter_is_named(nightlane: World, changes: dict[str, Any], param: str) -> None:
    status, body = estimate(nightlane, {"model": "gpt-5"}, **changes)
    assert (status, body["error"]["param"]) == (400, param)


@pytest.mark.parametrize(("limit", "status"), [(10, 200), (1, 400)])
def test_a_tenants_quota_limits_the_requests_in_flight(nightlane: World, limit: int, status: int) -> None:
    models = [{"model": model, "requests": 1, "bytes": 100} for model in ("llama-3", "gpt-5")]
    body = json.dumps({"endpoint": CHAT, "models": models}).encode()
    quota = quota_to_text(Quota(requests_in_flight=limit))
    response = nightlane.answer("POST", "/batches/estimate", body, context={"quota": quota})
    assert response["statusCode"] == status
    if status == 200:
        assert json.loads(response["body"])["requests_in_flight"] == limit
