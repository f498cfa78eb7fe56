"""A batch can be created from requests in the body, which become an ordinary input file of the tenant."""

import json
from typing import Any

import pytest

from tests.world import ENDPOINT, World, requests

PARAMETERS = {"endpoint": ENDPOINT, "completion_window": "24h"}


def objects(count: int) -> list[Any]:
    return [json.loads(line) for line in requests(count).splitlines()]


def create(nightlane: World, body: dict[str, Any] | bytes, **headers: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(PARAMETERS | body, indent=1).encode()
    return nightlane.call("POST", "/batches", data, **headers)


def input_files(nightlane: World) -> list[str]:
    return [each["id"] for each in nightlane.call("GET", "/files", query={"purpose": "batch"})[1]["data"]]


def test_requests_in_the_body_become_an_input_file(nightlane: World) -> None:
    status, batch = create(nightlane, {"requests": objects(3), "metadata": {"requests": "three"}})
    assert (status, batch["status"], batch["metadata"]) == (200, "validating", {"requests": "three"})
    (file_id,) = input_files(nightlane)
    assert batch["input_file_id"] == file_id
    assert nightlane.lines(file_id) == objects(3)
    nightlane.run()
    output = nightlane.lines(nightlane.batch(batch["id"]).output_file_id)
    assert [line["custom_id"] for line in output] == ["request-0", "request-1", "request-2"]


def test_each_request_becomes_a_line_as_it_was_written(nightlane: World) -> None:
    request = '{"custom_id": "é\\u2028",\r\n "body": {"n": 1.50, "big": 123456789012345678901234567890}}'
    body = json.dumps(PARAMETERS)[:-1] + f', "requests": [ {request} ,{{"custom_id":"b"}}]}}'
    status, batch = create(nightlane, body.encode())
    assert status == 200
    file = nightlane.ports.files.get_file(batch["input_file_id"])
    assert file is not None
    expected = request.replace("\r\n", "  ") + '\n{"custom_id":"b"}\n'
    assert nightlane.ports.blobs.get(file.blob_key).decode() == expected
    assert (file.size, file.filename) == (len(expected.encode()), "requests.jsonl")
    assert file.expires_at == file.created_at + nightlane.ports.settings.batch_file_retention_seconds


def test_invalid_requests_are_reported_by_the_batch_as_those_of_a_file_are(nightlane: World) -> None:
    _, batch = create(nightlane, {"requests": [*objects(1), {"custom_id": "x"}]})
    nightlane.run()
    _, failed = nightlane.call("GET", f"/batches/{batch['id']}")
    assert failed["status"] == "failed"
    assert [(each["code"], each["line"]) for each in failed["errors"]["data"]] == [
        ("missing_required_parameter", 2)
    ]


def test_a_token_covers_the_requests(nightlane: World) -> None:
    body = {"requests": objects(2), "idem_tok": "t"}
    _, first = create(nightlane, body)
    _, again = create(nightlane, {"requests": objects(2)}, Idempotency_Key="t")
    assert (again["id"], again["input_file_id"]) == (first["id"], first["input_file_id"])
    status, refused = create(nightlane, {"requests": objects(3)}, Idempotency_Key="t")
    assert (status, "Idempotency conflict" in refused["error"]["message"]) == (409, True)
    status, _ = create(nightlane, {"input_file_id": first["input_file_id"]}, Idempotency_Key="t")
    assert status == 200, "the same batch by its file's id"
    assert input_files(nightlane) == [first["input_file_id"]]
    _, other = nightlane.call("POST", "/batches", json.dumps(PARAMETERS | body).encode(), tenant="globex")
    assert other["id"] != first["id"]
    assert other["input_file_id"] != first["input_file_id"]


def test_a_create_that_loses_the_race_for_its_token_leaves_no_file(
    nightlane: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_batch = nightlane.ports.batches.create_batch

    def lose(*arguments: Any, **named: Any) -> Any:
        monkeypatch.undo()
        assert create(nightlane, {"requests": objects(2), "idem_tok": "t"})[0] == 200
        return create_batch(*arguments, **named)

    monkeypatch.setattr(nightlane.ports.batches, "create_batch", lose)
    status, _ = create(nightlane, {"requests": objects(3), "idem_tok": "t"})
    assert status == 409
    assert len(input_files(nightlane)) == 1


def test_a_repeat_after_a_crash_uses_the_file_that_was_left(
    nightlane: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise KeyError

    monkeypatch.setattr(nightlane.ports.batches, "create_batch", crash)
    body = {"requests": objects(2), "idem_tok": "t"}
    assert create(nightlane, body)[0] == 500
    monkeypatch.undo()
    left = input_files(nightlane)
    _, batch = create(nightlane, body)
    assert [batch["input_file_id"]] == left == input_files(nightlane)
    nightlane.run()
    assert nightlane.batch(batch["id"]).completed == 2
