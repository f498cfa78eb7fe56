"""Facts about OpenAI's API that no other test is about: defaults, limits, and what is refused when."""

import json
import re
from typing import Any

import pytest

from nightlane.domain.batch import BatchStatus
from tests.integration.test_api import CREATE, create, error_of, upload
from tests.world import ENDPOINT, World, requests


def first_error(world: World, data: bytes, endpoint: str = ENDPOINT) -> Any:
    batch_id = world.create(world.upload(data), endpoint=endpoint)
    world.run()
    return world.call("GET", f"/batches/{batch_id}")[1]["errors"]["data"][0]


def test_files_expire_by_default_only_if_they_are_for_batches(nightlane: World) -> None:
    for purpose in ("assistants", "fine-tune", "vision", "user_data", "evals"):
        assert upload(nightlane, b"x", purpose=purpose)[1]["expires_at"] is None
    file = upload(nightlane, requests(1), purpose="batch")[1]
    assert file["expires_at"] == file["created_at"] + 2_592_000


def test_a_file_needs_no_jsonl_name_and_no_known_keys(nightlane: World) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="upload"\r\n\r\n{"method": "GET"}\n'
        b'\r\n--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
    )
    status, file = nightlane.call("POST", "/files", body, content_type="multipart/form-data; boundary=x")
    assert (status, file["filename"], file["status"]) == (200, "upload", "processed")


def test_a_batch_file_has_at_most_200_mib_and_an_upload_what_the_operator_set(nightlane: World) -> None:
    assert nightlane.ports.settings.max_batch_bytes == 209_715_200
    nightlane.ports.settings.__dict__.update(max_batch_bytes=400, max_upload_bytes=600)
    error = error_of(upload(nightlane, requests(10), purpose="batch"), 413)
    assert "600 bytes" in error["message"]
    nightlane.ports.settings.__dict__.update(max_upload_bytes=100_000)
    error = error_of(upload(nightlane, requests(10), purpose="batch"), 400)
    assert error["message"].startswith("File is too large")


def test_an_input_file_of_another_purpose_fails_the_batch(nightlane: World) -> None:
    file = upload(nightlane, requests(1), purpose="user_data")[1]
    batch = create(nightlane, input_file_id=file["id"])[1]
    assert (batch["status"], batch["errors"]) == ("validating", None)
    nightlane.run()
    failed = nightlane.call("GET", f"/batches/{batch['id']}")[1]
    assert (failed["status"], failed["in_progress_at"]) == ("failed", None)
    (error,) = failed["errors"]["data"]
    assert (error["code"], error["param"], error["line"]) == ("invalid_request", "file_id", None)
    assert "needs purpose 'batch'" in error["message"]


def test_each_bad_line_has_one_error_and_none_of_the_good_ones_runs(nightlane: World) -> None:
    bad = b'{"custom_id": "a", "method": "POST"}\n' + b"{}\n" + b"prose\n"
    batch_id = nightlane.create(nightlane.upload(requests(2) + bad))
    nightlane.run()
    batch = nightlane.call("GET", f"/batches/{batch_id}")[1]
    assert (batch["status"], batch["errors"]["object"]) == ("failed", "list")
    assert [(each["code"], each["param"], each["line"]) for each in batch["errors"]["data"]] == [
        ("missing_required_parameter", "url", 3),
        ("missing_required_parameter", "custom_id", 4),
        ("invalid_json_line", None, 5),
    ]
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["output_file_id"] is batch["error_file_id"] is None


@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/responses", "/v1/moderations"])
def test_lines_of_every_endpoint_refuse_to_stream(nightlane: World, endpoint: str) -> None:
    body = {"model": "m", "messages": [], "input": "hi", "stream": True}
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    error = first_error(nightlane, json.dumps(line).encode(), endpoint)
    assert (error["code"], error["param"], error["line"]) == ("streaming_unsupported", "body.stream", 1)


def test_the_same_create_twice_without_a_token_makes_two_batches(nightlane: World) -> None:
    assert create(nightlane)[1]["id"] != create(nightlane)[1]["id"]


def test_a_conflict_is_not_retried_by_the_clients(nightlane: World) -> None:
    batch = create(nightlane, idem_tok="once")[1]
    nightlane.run()
    assert nightlane.batch(batch["id"]).status is BatchStatus.FAILED
    body = json.dumps(CREATE | {"idem_tok": "once", "output_expires_after": None, "metadata": {}}).encode()
    for path, data in ((f"/batches/{batch['id']}/cancel", b""), ("/batches", body)):
        response = nightlane.respond("POST", path, data)
        assert (response["statusCode"], response["multiValueHeaders"]["x-should-retry"]) == (409, ["false"])


def test_every_response_has_the_headers_that_clients_read(nightlane: World) -> None:
    file = upload(nightlane, requests(1), purpose="batch")[1]
    for path in ("/batches", "/files", f"/files/{file['id']}", "/nonsense"):
        headers = nightlane.respond("GET", path)["multiValueHeaders"]
        assert headers["x-request-id"][0].startswith("req_")
        assert headers["openai-version"] == ["2020-10-01"]
        # The official Node client returns text for anything else.
        assert headers["Content-Type"] == ["application/json"]
        assert not {"openai-organization", "openai-project", "openai-processing-ms"} & set(headers)
    content = nightlane.respond("GET", f"/files/{file['id']}/content")["multiValueHeaders"]
    assert content["Content-Type"] == ["application/octet-stream"]
    assert content["Content-Disposition"][0].startswith('attachment; filename="in.jsonl"')


def test_ids_have_openais_prefixes(nightlane: World) -> None:
    batch, file = create(nightlane)[1], upload(nightlane, requests(1), purpose="batch")[1]
    assert re.fullmatch("batch_[0-9a-f]{32}", batch["id"])
    assert re.fullmatch("file-[0-9a-f]{24}", file["id"])


def test_a_null_parameter_is_as_if_it_were_absent(nightlane: World) -> None:
    status, batch = create(nightlane, metadata=None, output_expires_after=None)
    assert (status, batch["metadata"]) == (200, None)


def test_a_repeated_create_returns_the_batch_as_it_is_now(nightlane: World) -> None:
    first = create(nightlane, idem_tok="t")[1]
    nightlane.run()
    again = create(nightlane, idem_tok="t")[1]
    assert (first["status"], again["id"], again["status"]) == ("validating", first["id"], "failed")


def test_a_used_token_does_not_hide_an_invalid_parameter(nightlane: World) -> None:
    assert create(nightlane, idem_tok="t")[0] == 200
    assert error_of(create(nightlane, idem_tok="t", endpoint="/v1/no"), 400)["param"] == "endpoint"
    # Null and an empty object differ.
    assert "conflict" in error_of(create(nightlane, idem_tok="t", metadata={}), 409)["message"]


def test_a_message_has_the_code_and_the_parameter_because_clients_may_show_nothing_else(
    nightlane: World,
) -> None:
    for parameter in ("endpoint", "completion_window"):
        error = error_of(create(nightlane, **{parameter: "x"}), 400)
        assert error["message"].endswith(f"(invalid_value for {parameter})")


def test_a_custom_id_may_be_long(nightlane: World) -> None:
    body = {"model": "mock-small", "messages": [{"role": "user", "content": "Hello"}]}
    line = {"custom_id": "x" * 100_000, "method": "POST", "url": ENDPOINT, "body": body}
    batch_id = nightlane.create(nightlane.upload(json.dumps(line).encode()))
    nightlane.run()
    (result,) = nightlane.lines(nightlane.batch(batch_id).output_file_id)
    assert result["custom_id"] == line["custom_id"]


def test_a_parameter_that_a_list_does_not_have_is_ignored(nightlane: World) -> None:
    batch = create(nightlane)[1]
    status, page = nightlane.call("GET", "/batches", query={"before": "batch_1", "order": "asc"})
    assert (status, [each["id"] for each in page["data"]]) == (200, [batch["id"]])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/batches/batch_1"),
        ("POST", "/batches/batch_1"),
        ("GET", "/uploads"),
        ("GET", "/uploads/upload_1"),
        ("GET", "/uploads/upload_1/parts"),
        ("POST", "/fine_tuning/jobs"),
        ("POST", "/chat/completions"),
        ("DELETE", "/files/file-1/nothing"),
    ],
)
def test_what_openai_does_not_have_or_is_not_for_batches_is_an_error(
    nightlane: World, method: str, path: str
) -> None:
    status, body = nightlane.call(method, path)
    assert status in (404, 405)
    assert body["error"]["type"] == "invalid_request_error"
