"""The API's handler with events of API Gateway, on moto."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import Batch, FileObject

from nightlane.domain.endpoints import ENDPOINTS
from nightlane.settings import Settings
from tests.moto_lock import one_write_at_a_time
from tests.upstream import only
from tests.world import ENDPOINT, World, moto_world, requests

CREATE = {"input_file_id": "file-x", "endpoint": ENDPOINT, "completion_window": "24h"}


@pytest.fixture
def nightlane(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    one_write_at_a_time(monkeypatch)
    with moto_world(Settings(upstreams=only("http://127.0.0.1:9"))) as world:
        yield world


def create(nightlane: World, **changes: Any) -> tuple[int, Any]:
    return nightlane.call("POST", "/batches", json.dumps(CREATE | changes).encode())


def upload(nightlane: World, data: bytes, **fields: str) -> tuple[int, Any]:
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()
    ]
    file = b'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n' + data
    blocks = [*(part.encode() for part in parts), file]
    body = b"".join(b"--x\r\n" + block + b"\r\n" for block in blocks) + b"--x--\r\n"
    return nightlane.call("POST", "/files", body, content_type="multipart/form-data; boundary=x")


def error_of(response: tuple[int, Any], status: int) -> dict[str, Any]:
    assert response[0] == status, response
    error = response[1]["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


def test_a_new_batch_has_every_key(nightlane: World) -> None:
    status, body = create(nightlane, metadata={"job": "nightly"})
    assert status == 200
    batch = Batch.model_validate(body, strict=True)
    assert batch.status == "validating"
    assert batch.expires_at == batch.created_at + 86_400
    assert batch.request_counts is not None
    assert batch.request_counts.total == 0
    assert batch.usage is not None
    assert batch.metadata == {"job": "nightly"}
    assert set(Batch.model_fields) <= set(body)
    assert nightlane.call("GET", f"/batches/{batch.id}") == (200, body)


@pytest.mark.parametrize(
    ("window", "seconds"), [("1h", 3_600), ("1d", 86_400), ("48h", 172_800), ("7d", 604_800)]
)
def test_a_batch_expires_when_the_window_that_was_asked_for_ends(
    nightlane: World, window: str, seconds: int
) -> None:
    status, body = create(nightlane, completion_window=window)
    assert (status, body["completion_window"]) == (200, window)
    assert body["expires_at"] == body["created_at"] + seconds
    assert nightlane.call("GET", f"/batches/{body['id']}") == (200, body)


@pytest.mark.parametrize("endpoint", [*ENDPOINTS])
def test_a_batch_may_be_for_every_endpoint_of_openai(nightlane: World, endpoint: str) -> None:
    status, body = create(nightlane, endpoint=endpoint)
    assert (status, body["endpoint"]) == (200, endpoint)


def test_an_extra_endpoint_is_refused_unless_the_operator_allows_it(nightlane: World) -> None:
    error = error_of(create(nightlane, endpoint="/v1/rerank"), 400)
    assert (error["code"], error["param"]) == ("invalid_value", "endpoint")
    assert "'/v1/images/generations', and '/v1/images/edits'." in error["message"]
    nightlane.ports.settings.__dict__["extra_endpoints"] = ("/v1/rerank",)
    status, body = create(nightlane, endpoint="/v1/rerank")
    assert (status, body["endpoint"]) == (200, "/v1/rerank")
    error = error_of(create(nightlane, endpoint="/v1/score"), 400)
    assert "and '/v1/rerank'." in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 5_000,
        json.dumps(CREATE | {"input_file_id": "\ud800"}).encode(),
        json.dumps(CREATE | {"\ud800": "x"}).encode(),
        b'{"input_file_id": "\xff"}',
    ],
)
def test_a_body_that_is_not_an_object_is_a_bad_request(nightlane: World, body: bytes) -> None:
    error_of(nightlane.call("POST", "/batches", body, content_type="application/json"), 400)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(CREATE)), inner),
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_json_gets_a_response(nightlane: World, body: Any) -> None:
    status, response = nightlane.call("POST", "/batches", json.dumps(body).encode())
    assert status == 200 or error_of((status, response), 400)


def test_concurrent_creates_with_one_token_create_one_batch(nightlane: World) -> None:
    with ThreadPoolExecutor(32) as pool:
        responses = list(
            pool.map(lambda _: create(nightlane, idem_tok="tok", metadata={"a": "1", "b": "2"}), range(32))
        )
    assert {status for status, _ in responses} == {200}
    assert len({json.dumps(body, sort_keys=True) for _, body in responses}) == 1
    assert nightlane.waiting_messages() == 1
    reordered = create(nightlane, idempotency_key="tok", metadata={"b": "2", "a": "1"})
    assert reordered[1]["id"] == responses[0][1]["id"]
    error = error_of(create(nightlane, idem_tok="tok", metadata={"a": "other"}), 409)
    assert "conflict" in error["message"]
    by_header = nightlane.call(
        "POST",
        "/batches",
        json.dumps(CREATE | {"metadata": {"a": "1", "b": "2"}}).encode(),
        idempotency_key="tok",
    )
    assert by_header[1]["id"] == responses[0][1]["id"]


def test_a_token_belongs_to_its_tenant(nightlane: World) -> None:
    body = json.dumps(CREATE | {"idem_tok": "tok"}).encode()
    ids = {nightlane.call("POST", "/batches", body, tenant=tenant)[1]["id"] for tenant in ("acme", "other")}
    assert len(ids) == 2


def test_batches_and_files_of_another_tenant_are_not_found(nightlane: World) -> None:
    batch = create(nightlane)[1]
    file = upload(nightlane, requests(1), purpose="batch")[1]
    for method, path in (
        ("GET", f"/batches/{batch['id']}"),
        ("POST", f"/batches/{batch['id']}/cancel"),
        ("GET", f"/files/{file['id']}"),
        ("GET", f"/files/{file['id']}/content"),
        ("DELETE", f"/files/{file['id']}"),
    ):
        error_of(nightlane.call(method, path, tenant="other"), 404)
    for path, thing in (("/batches", batch), ("/files", file)):
        assert nightlane.call("GET", path, tenant="other")[1]["data"] == []
        error_of(nightlane.call("GET", path, query={"after": thing["id"]}, tenant="other"), 404)


def test_batches_are_listed_newest_first_page_by_page(nightlane: World) -> None:
    ids = []
    for _ in range(5):
        ids.append(create(nightlane)[1]["id"])
        nightlane.pass_time(0.01)
    ids.reverse()
    first = nightlane.call("GET", "/batches", query={"limit": "2"})[1]
    assert [each["id"] for each in first["data"]] == ids[:2]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, ids[0], ids[1])
    second = nightlane.call("GET", "/batches", query={"limit": "3", "after": ids[1]})[1]
    assert [each["id"] for each in second["data"]] == ids[2:]
    assert second["has_more"] is False


def test_files_are_listed_in_either_order_and_by_purpose(nightlane: World) -> None:
    ids = []
    for purpose in ("batch", "user_data", "batch", "vision"):
        ids.append(upload(nightlane, requests(1), purpose=purpose)[1]["id"])
        nightlane.pass_time(0.01)
    listed = nightlane.call("GET", "/files", query={"order": "asc"})[1]["data"]
    assert [each["id"] for each in listed] == ids
    newest = nightlane.call("GET", "/files", query={"limit": "2"})[1]
    assert [each["id"] for each in newest["data"]] == [ids[3], ids[2]]
    nightlane.call("DELETE", f"/files/{ids[2]}")
    after = nightlane.call("GET", "/files", query={"after": ids[2]})[1]
    assert [each["id"] for each in after["data"]] == [ids[1], ids[0]]
    batches = nightlane.call("GET", "/files", query={"purpose": "batch"})[1]
    assert [each["id"] for each in batches["data"]] == [ids[0]]


def test_a_file_can_be_uploaded_retrieved_and_deleted(nightlane: World) -> None:
    data = '{"text": "é中"}\n'.encode() + b'{"a": "--x"}\n'
    status, body = upload(nightlane, data, purpose="batch")
    assert status == 200
    file = FileObject.model_validate(body, strict=True)
    assert (file.bytes, file.filename, file.purpose, file.status) == (
        len(data),
        "in.jsonl",
        "batch",
        "processed",
    )
    assert file.expires_at == file.created_at + 2_592_000
    assert nightlane.call("GET", f"/files/{file.id}")[1] == body
    stored = nightlane.ports.files.get_file(file.id)
    assert stored is not None
    assert nightlane.ports.blobs.get(stored.blob_key) == data
    deleted = nightlane.call("DELETE", f"/files/{file.id}", content_type="application/json")
    assert deleted == (200, {"id": file.id, "object": "file", "deleted": True})
    error = error_of(nightlane.call("DELETE", f"/files/{file.id}"), 404)
    assert error["message"] == f"No such File object: {file.id}"
    assert error["param"] == "id"


def test_pages_are_full_even_if_the_newest_files_have_expired(nightlane: World) -> None:
    living = [upload(nightlane, requests(1), purpose="batch")[1]["id"] for _ in range(3)]
    nightlane.pass_time(1)
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    for _ in range(3):
        upload(nightlane, requests(1), purpose="batch", **expiry)
    nightlane.pass_time(3_601)
    page = nightlane.call("GET", "/files", query={"limit": "2"})[1]
    assert len(page["data"]) == 2
    assert page["has_more"] is True
    rest = nightlane.call("GET", "/files", query={"limit": "2", "after": page["last_id"]})[1]
    assert rest["has_more"] is False
    assert {each["id"] for each in page["data"] + rest["data"]} == set(living)


def test_an_expired_file_is_not_found_before_it_is_swept(nightlane: World) -> None:
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = upload(nightlane, requests(1), purpose="batch", **expiry)[1]
    assert file["expires_at"] == file["created_at"] + 3_600
    nightlane.pass_time(3_601)
    error_of(nightlane.call("GET", f"/files/{file['id']}"), 404)
    assert nightlane.call("GET", "/files")[1]["data"] == []


def test_files_of_some_purposes_cannot_be_downloaded(nightlane: World) -> None:
    file = upload(nightlane, b"x", purpose="user_data")[1]
    error = error_of(nightlane.call("GET", f"/files/{file['id']}/content"), 400)
    assert error["message"] == "Not allowed to download files of purpose: user_data"


def test_a_batch_cancelled_before_planning_ends_at_once(nightlane: World) -> None:
    batch = create(nightlane)[1]
    status, body = nightlane.call("POST", f"/batches/{batch['id']}/cancel", content_type="application/json")
    assert (status, body["status"]) == (200, "cancelling")
    assert body["cancelling_at"]
    again = nightlane.call("POST", f"/batches/{batch['id']}/cancel")[1]
    assert again == body
    nightlane.run()
    ended = nightlane.call("GET", f"/batches/{batch['id']}")[1]
    assert (ended["status"], ended["output_file_id"], ended["error_file_id"]) == ("cancelled", None, None)
    assert nightlane.call("POST", f"/batches/{batch['id']}/cancel") == (200, ended)


def test_a_batch_that_has_ended_cannot_be_cancelled(nightlane: World) -> None:
    batch = create(nightlane)[1]
    nightlane.run()
    error = error_of(nightlane.call("POST", f"/batches/{batch['id']}/cancel"), 409)
    assert error["message"] == "Cannot cancel a batch with status 'failed'."


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/files", 405),
        ("GET", "/batches/nonsense", 400),
        ("GET", "/batches/batch_0", 404),
        ("GET", "/files/file-0", 404),
        ("GET", "/files/a%2Fb", 404),
        ("GET", "/models", 502),
    ],
)
def test_unknown_paths_and_ids_return_an_error_body(
    nightlane: World, method: str, path: str, status: int
) -> None:
    error_of(nightlane.call(method, path), status)
