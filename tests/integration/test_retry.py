"""The lines of a batch that failed, were cancelled or expired run again as a new batch."""

import json
from typing import Any

import pytest

from nightlane.domain.batch import BatchStatus
from tests.upstream import Upstream, question, refusal
from tests.world import World, requests

BOM = b"\xef\xbb\xbf"


def retry(nightlane: World, batch_id: str, body: bytes = b"", **headers: Any) -> tuple[int, Any]:
    return nightlane.call("POST", f"/batches/{batch_id}/retry", body, **headers)


def fail(upstream: Upstream, *numbers: int) -> None:
    """Answer these questions with an error of the line's own."""
    failing = {f"Question {number}?" for number in numbers}
    upstream.script = lambda body, _seen: refusal(400) if question(body) in failing else None


def names(lines: list[dict[str, Any]]) -> list[str]:
    return [line["custom_id"] for line in lines]


def run_failing(nightlane: World, upstream: Upstream, *numbers: int, data: bytes = requests(5)) -> str:
    fail(upstream, *numbers)
    batch_id = nightlane.create(nightlane.upload(data))
    nightlane.run()
    assert nightlane.batch(batch_id).failed == len(numbers)
    return batch_id


def test_failed_lines_run_again_until_none_is_left(nightlane: World, upstream: Upstream) -> None:
    data = BOM + requests(5).replace(b"\n", b"\r\n\r\n").rstrip()
    first = run_failing(nightlane, upstream, 0, 2, 4, data=data)
    fail(upstream, 4)
    status, second = retry(nightlane, first)
    assert (status, second["status"], second["metadata"]) == (200, "validating", {"retry_of": first})
    assert second["input_file_id"] == nightlane.batch(first).request.input_file_id
    nightlane.run()
    batch = nightlane.batch(second["id"])
    assert (batch.status, batch.total, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 3, 2, 1)
    assert names(nightlane.lines(batch.output_file_id)) == ["request-0", "request-2"]
    fail(upstream)
    _, third = retry(nightlane, batch.id, b"{}")
    assert third["metadata"] == {"retry_of": batch.id}
    nightlane.run()
    assert names(nightlane.lines(nightlane.batch(third["id"]).output_file_id)) == ["request-4"]
    status, refused = retry(nightlane, third["id"])
    assert (status, refused["error"]["code"]) == (400, "nothing_to_retry")
    assert upstream.asked["Question 1?"] == 1


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_lines_that_never_ran_run_in_the_retry(nightlane: World, end: str) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(5)))
    nightlane.deliver("plan")
    if end == "cancelled":
        nightlane.call("POST", f"/batches/{batch_id}/cancel")
    else:
        nightlane.pass_time(90_000)
        nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).status.value == end
    _, batch = retry(nightlane, batch_id)
    assert batch["expires_at"] == batch["created_at"] + 86_400
    nightlane.run()
    assert nightlane.batch(batch["id"]).completed == 5


def test_only_a_batch_that_has_ended_with_errors_can_be_retried(nightlane: World) -> None:
    running = nightlane.create(nightlane.upload(requests(1)))
    response = nightlane.respond("POST", f"/batches/{running}/retry")
    assert response["statusCode"] == 409
    assert response["multiValueHeaders"]["x-should-retry"] == ["false"]
    invalid = nightlane.create(nightlane.upload(b"{}\n"))
    nightlane.run()
    for batch_id in (running, invalid):
        status, answer = retry(nightlane, batch_id)
        assert (status, answer["error"]["code"]) == (400, "nothing_to_retry")
    assert retry(nightlane, running, tenant="globex")[0] == 404
    assert retry(nightlane, "batch_none")[0] == 404
    assert retry(nightlane, running, b'{"model": 1}')[1]["error"]["param"] == "model"


def test_a_repeated_retry_with_the_same_token_is_the_same_batch(nightlane: World, upstream: Upstream) -> None:
    first, second = (run_failing(nightlane, upstream, number) for number in (1, 2))
    _, made = retry(nightlane, first, Idempotency_Key="t")
    body = json.dumps({"idem_tok": "t"}).encode()
    assert retry(nightlane, first, body)[1]["id"] == made["id"]
    assert retry(nightlane, second, body)[0] == 409
    parameters = {"endpoint": made["endpoint"], "completion_window": "24h", "metadata": made["metadata"]}
    create = json.dumps(parameters | {"input_file_id": made["input_file_id"], "idem_tok": "t"}).encode()
    assert nightlane.call("POST", "/batches", create)[0] == 409
    nightlane.call("DELETE", f"/files/{made['input_file_id']}")
    assert retry(nightlane, first, body)[1]["id"] == made["id"]
    assert retry(nightlane, first)[1]["error"]["code"] == "file_gone"


def test_a_retry_keeps_the_metadata_and_does_not_add_a_17th_pair(
    nightlane: World, upstream: Upstream
) -> None:
    fail(upstream, 0)
    file_id = nightlane.upload(requests(1))
    for pairs in (15, 16):
        metadata = {f"key-{number}": "value" for number in range(pairs)}
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        _, first = nightlane.call("POST", "/batches", json.dumps(body | {"metadata": metadata}).encode())
        nightlane.run()
        _, again = retry(nightlane, first["id"])
        assert again["metadata"] == metadata | ({"retry_of": first["id"]} if pairs == 15 else {})
        nightlane.run()
        assert nightlane.batch(again["id"]).total == 1


@pytest.mark.parametrize("kind", ["input", "error"])
def test_a_retry_without_one_of_its_files_is_a_clear_error(
    nightlane: World, upstream: Upstream, kind: str
) -> None:
    first = run_failing(nightlane, upstream, 1)
    _, planned_late = retry(nightlane, first)
    batch = nightlane.batch(first)
    file_id = batch.request.input_file_id if kind == "input" else batch.error_file_id
    nightlane.call("DELETE", f"/files/{file_id}")
    status, answer = retry(nightlane, first)
    assert (status, answer["error"]["code"]) == (400, "file_gone")
    assert f"its {kind} file was deleted or has expired" in answer["error"]["message"]
    nightlane.run()
    _, failed = nightlane.call("GET", f"/batches/{planned_late['id']}")
    assert failed["status"] == "failed"
    (error,) = failed["errors"]["data"]
    assert ("Cannot find file" if kind == "input" else "its error file was deleted") in error["message"]
