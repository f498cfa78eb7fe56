"""Direct uploads on moto: what clients see of a pending file, and what happens in which order."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from openai.types import FileObject

from nightlane.domain.batch import BatchStatus
from nightlane.domain.pending_files import PENDING_SECONDS
from tests.rig.events import object_event
from tests.world import World, requests

DATA = requests(3)
REQUEST = {"filename": "in.jsonl", "purpose": "batch", "bytes": len(DATA)}


def begin(nightlane: World, tenant: str = "acme", **changes: Any) -> tuple[int, Any]:
    body = json.dumps(REQUEST | changes).encode()
    return nightlane.call("POST", "/files", body, tenant=tenant, content_type="application/json")


def begun(nightlane: World, **changes: Any) -> str:
    status, body = begin(nightlane, **changes)
    assert status == 200
    return str(body["id"])


def key_of(file_id: str) -> str:
    return f"direct/acme/{file_id}"


def put(nightlane: World, file_id: str, data: bytes = DATA) -> None:
    """Store the content as S3 does for the presigned URL."""
    nightlane.clients.s3.put_object(
        Bucket=nightlane.ports.settings.bucket_name, Key=key_of(file_id), Body=data, IfNoneMatch="*"
    )


def notify(nightlane: World, file_id: str) -> None:
    event = object_event(nightlane.ports.settings.bucket_name, key_of(file_id), len(DATA), "etag")
    nightlane.invoke("receive", event)


def complete(nightlane: World, file_id: str, tenant: str = "acme") -> tuple[int, Any]:
    return nightlane.call("POST", f"/files/{file_id}/complete", tenant=tenant)


def objects(nightlane: World) -> list[str]:
    bucket = nightlane.ports.settings.bucket_name
    found = nightlane.clients.s3.list_objects_v2(Bucket=bucket, Prefix="direct/")
    return [each["Key"] for each in found.get("Contents", [])]


def test_a_pending_file_has_the_request_that_uploads_it(nightlane: World) -> None:
    status, body = begin(nightlane, expires_after={"anchor": "created_at", "seconds": 3_600})
    assert status == 200
    upload = body.pop("upload")
    assert FileObject.model_fields.keys() <= body.keys()
    assert (body["status"], body["bytes"], body["purpose"]) == ("pending", len(DATA), "batch")
    assert body["expires_at"] == body["created_at"] + 3_600
    assert upload["method"] == "PUT"
    assert key_of(body["id"]) in upload["url"]
    assert upload["headers"] == {
        "Content-Length": str(len(DATA)),
        "Content-Type": "application/octet-stream",
        "If-None-Match": "*",
    }
    assert abs(upload["expires_at"] - body["created_at"] - PENDING_SECONDS) <= 5
    assert nightlane.call("GET", f"/files/{body['id']}") == (200, body)
    assert nightlane.call("GET", "/files")[1]["data"] == []


@pytest.mark.parametrize("by_event", [True, False])
def test_a_file_is_complete_when_its_content_was_checked(nightlane: World, by_event: bool) -> None:
    file_id = begun(nightlane)
    put(nightlane, file_id)
    if by_event:
        notify(nightlane, file_id)
    status, body = complete(nightlane, file_id)
    assert (status, body["status"], body["bytes"]) == (200, "processed", len(DATA))
    assert FileObject.model_validate(body, strict=True)
    assert nightlane.call("GET", "/files")[1]["data"] == [body]
    # Repeating either changes nothing.
    notify(nightlane, file_id)
    assert complete(nightlane, file_id) == (200, body)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        put(nightlane, file_id, b"x" * len(DATA))
    assert nightlane.ports.blobs.get(key_of(file_id)) == DATA


def test_a_completed_file_is_the_input_of_a_batch(nightlane: World) -> None:
    file_id = begun(nightlane)
    put(nightlane, file_id)
    notify(nightlane, file_id)
    batch_id = nightlane.create(file_id)
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 3)
    assert nightlane.call("DELETE", f"/files/{file_id}")[0] == 200
    assert objects(nightlane) == []


def test_a_batch_fails_if_its_input_was_not_uploaded(nightlane: World) -> None:
    file_id = begun(nightlane)
    batch_id = nightlane.create(file_id)
    nightlane.run()
    (error,) = nightlane.batch(batch_id).errors
    assert (error.code, error.param) == ("invalid_request", "file_id")
    assert error.message.startswith(f"The file {file_id} has not been uploaded yet")


def test_completing_a_file_that_has_not_arrived_is_an_error_and_may_be_repeated(nightlane: World) -> None:
    file_id = begun(nightlane)
    status, body = complete(nightlane, file_id)
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "file_not_uploaded", "id")
    status, body = nightlane.call("GET", f"/files/{file_id}/content")
    assert (status, body["error"]["param"]) == (400, "id")
    assert nightlane.call("GET", f"/files/{file_id}")[1]["status"] == "pending"
    put(nightlane, file_id)
    assert complete(nightlane, file_id)[0] == 200


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"no json".ljust(len(DATA)), "Invalid file format for Batch API. Must be .jsonl"),
        (DATA[:-1], f"The file has {len(DATA) - 1} bytes, and {len(DATA)} were announced."),
    ],
)
def test_content_that_is_refused_is_an_error_with_the_reason(
    nightlane: World, data: bytes, problem: str
) -> None:
    file_id = begun(nightlane)
    put(nightlane, file_id, data)
    notify(nightlane, file_id)
    body = nightlane.call("GET", f"/files/{file_id}")[1]
    assert (body["status"], body["status_details"]) == ("error", problem)
    status, body = complete(nightlane, file_id)
    assert (status, body["error"]["message"]) == (400, problem)
    assert nightlane.call("GET", "/files")[1]["data"] == []
    batch_id = nightlane.create(file_id)
    nightlane.run()
    assert problem in nightlane.batch(batch_id).errors[0].message


def test_a_pending_file_exists_only_for_its_tenant(nightlane: World) -> None:
    file_id = begun(nightlane)
    put(nightlane, file_id)
    assert complete(nightlane, file_id, tenant="other")[0] == 404
    assert nightlane.call("GET", f"/files/{file_id}", tenant="other")[0] == 404
    assert nightlane.call("DELETE", f"/files/{file_id}", tenant="other")[0] == 404
    batch_id = nightlane.create(file_id, tenant="other")
    nightlane.run()
    assert nightlane.batch(batch_id).errors[0].message.startswith(f"Cannot find file {file_id}")


def test_content_that_arrives_after_its_file_was_deleted_is_removed(nightlane: World) -> None:
    file_id = begun(nightlane)
    assert nightlane.call("DELETE", f"/files/{file_id}")[0] == 200
    put(nightlane, file_id)
    assert complete(nightlane, file_id)[0] == 404
    notify(nightlane, file_id)
    assert objects(nightlane) == []
    assert nightlane.call("DELETE", f"/files/{file_id}")[0] == 404


@pytest.mark.parametrize("arrived", [True, False])
def test_a_file_that_was_not_completed_within_an_hour_is_gone(nightlane: World, arrived: bool) -> None:
    file_id = begun(nightlane)
    if arrived:
        put(nightlane, file_id)
    nightlane.pass_time(PENDING_SECONDS)
    assert complete(nightlane, file_id)[0] == 404
    assert nightlane.call("GET", f"/files/{file_id}")[0] == 404
    notify(nightlane, file_id)
    assert objects(nightlane) == ([key_of(file_id)] if arrived else [])
    nightlane.sweep()
    assert objects(nightlane) == []
    if not arrived:
        # The PUT began before the URL expired, and took long.
        put(nightlane, file_id)
        notify(nightlane, file_id)
        assert objects(nightlane) == []


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"bytes": 0}, "integer_below_min_value", "bytes"),
        ({"bytes": 512 * 1024 * 1024 + 1}, "integer_above_max_value", "bytes"),
        ({"bytes": "7"}, "invalid_type", "bytes"),
        ({"purpose": "batch_output"}, "invalid_value", "purpose"),
        ({"filename": ""}, "string_below_min_length", "filename"),
        ({"mime_type": "application/jsonl"}, "unknown_parameter", "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "integer_below_min_value", None),
        ({"bytes": 209_715_201}, None, None),
    ],
)
def test_an_invalid_request_for_a_pending_file_names_the_parameter(
    nightlane: World, changes: dict[str, Any], code: str | None, param: str | None
) -> None:
    status, body = begin(nightlane, **changes)
    assert (status, body["error"]["code"]) == (400, code)
    assert param is None or body["error"]["param"] == param
