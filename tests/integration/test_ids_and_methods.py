"""Query parameters, ids, methods and paths: those that are invalid, and those that nothing has."""

import json
from typing import Any

import pytest

from tests.integration.test_api import CREATE, create, error_of, upload
from tests.world import ENDPOINT, World, requests

LONG_ID = "x" * 257
# A key longer than DynamoDB's limits.
HUGE_ID = "x" * 3_000


@pytest.mark.parametrize("path", ["/batches", "/files"])
@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("-1", "integer_below_min_value"),
        ("10001", "integer_above_max_value"),
        ("many", "invalid_type"),
        ("1.5", "invalid_type"),
    ],
)
def test_a_mistyped_limit_of_a_list(shared_world: World, path: str, limit: str, code: str) -> None:
    error = error_of(shared_world.call("GET", path, query={"limit": limit}), 400)
    assert (error["code"], error["param"]) == (code, "limit")


def test_the_limits_of_a_list_of_batches_are_openais(shared_world: World) -> None:
    error = error_of(shared_world.call("GET", "/batches", query={"limit": "101"}), 400)
    assert error["message"] == (
        "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead."
    )
    error = error_of(shared_world.call("GET", "/files", query={"order": "up"}), 400)
    assert (error["code"], error["param"]) == ("invalid_value", "order")
    assert error["message"].startswith("Invalid value: 'up'. Supported values are: 'asc', and 'desc'.")


def test_a_limit_of_zero_is_an_empty_page_and_an_empty_value_is_none(shared_world: World) -> None:
    batch, file = create(shared_world)[1], upload(shared_world, requests(1), purpose="batch")[1]
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    for path, listed in (("/batches", batch), ("/files", file)):
        assert shared_world.call("GET", path, query={"limit": "0"}) == (200, empty)
        query = {"limit": "", "after": "", "order": "", "purpose": ""}
        assert shared_world.call("GET", path, query=query)[1]["data"][0] == listed


@pytest.mark.parametrize(
    "identifier", ["unknown", LONG_ID, HUGE_ID, "caf%C3%A9", "%00", "a%2Fb", "..", "~!'()*"]
)
def test_an_id_that_nothing_has_is_not_found(shared_world: World, identifier: str) -> None:
    shown = identifier if len(identifier) <= 100 else identifier[:100] + "…"
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        error = error_of(shared_world.call(method, f"/files/{identifier}{path}"), 404)
        assert (error["message"], error["param"]) == (f"No such File object: {shown}", "id")
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/progress")):
        error = error_of(shared_world.call(method, f"/batches/batch_{identifier}{path}"), 404)
        assert error["message"].startswith("No batch found with id 'batch_")
        assert error["param"] is None


@pytest.mark.parametrize("cursor", ["unknown", LONG_ID, HUGE_ID, "caf\u00e9", "\0", "a/b", "\ud83d"])
def test_a_cursor_that_nothing_has_is_not_found(shared_world: World, cursor: str) -> None:
    error = error_of(shared_world.call("GET", "/files", query={"after": cursor}), 404)
    assert (error["message"], error["param"]) == ("Resource not found.", "after")
    error_of(shared_world.call("GET", "/batches", query={"after": f"batch_{cursor}"}), 404)
    error = error_of(shared_world.call("GET", "/batches", query={"after": cursor}), 400)
    assert (error["code"], error["param"]) == ("invalid_value", "batch_id")


def test_the_id_of_a_batch_begins_with_batch(shared_world: World) -> None:
    for identifier in ("invalid", HUGE_ID):
        error = error_of(shared_world.call("GET", f"/batches/{identifier}"), 400)
        assert (error["code"], error["param"]) == ("invalid_value", "batch_id")
        assert error["message"].endswith("Expected an ID that begins with 'batch'.")
        assert len(error["message"]) < 200


@pytest.mark.parametrize("token", ["t" * 513, "caf\u00e9", "\udcff"])
def test_a_mistyped_idempotency_key_in_a_header(shared_world: World, token: str) -> None:
    response = shared_world.call("POST", "/batches", json.dumps(CREATE).encode(), idempotency_key=token)
    error = error_of(response, 400)
    assert (error["code"], error["param"]) == ("invalid_value", "Idempotency-Key")


def test_two_different_idempotency_keys_are_refused(shared_world: World) -> None:
    error = error_of(create(shared_world, idem_tok="a", idempotency_key="b"), 400)
    assert (error["param"], error["message"]) == (
        "idempotency_key",
        "More than one idempotency key was given.",
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/batches", "GET, POST"),
        ("DELETE", "/batches/batch_1", "GET"),
        ("POST", "/batches/batch_1", "GET"),
        ("GET", "/batches/batch_1/cancel", "POST"),
        ("POST", "/batches/batch_1/progress", "GET"),
        ("PATCH", "/files", "GET, POST"),
        ("POST", "/files/file-1", "DELETE, GET"),
        ("DELETE", "/files/file-1/content", "GET"),
        ("POST", "/models", "GET"),
        ("DELETE", "/models/org/m", "GET"),
        ("OPTIONS", "/files", "GET, POST"),
        ("HEAD", "/v1/batches", "GET, POST"),
    ],
)
def test_another_method_on_a_known_path_is_not_allowed(
    shared_world: World, method: str, path: str, allowed: str
) -> None:
    response = shared_world.respond(method, path)
    error = error_of((response["statusCode"], json.loads(response["body"])), 405)
    assert error["code"] == "method_not_supported"
    assert response["multiValueHeaders"]["Allow"] == [allowed]


@pytest.mark.parametrize("path", ["/", "/nonsense", ENDPOINT, "/batches/batch_1/nonsense", "/files//content"])
def test_an_unknown_path_is_not_found(shared_world: World, path: str) -> None:
    error = error_of(shared_world.call("GET", path), 404)
    assert error["message"].startswith("Invalid URL (GET /v1")
