"""Uploads in parts, by the API's handler on moto: validation, races, and what is left behind."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import md5
from typing import Any

import pytest
from openai.types import Upload
from openai.types.uploads import UploadPart

from nightlane.aws.compositions import S3Compositions
from nightlane.settings import Settings
from tests.integration.test_api import error_of
from tests.moto_lock import one_write_at_a_time
from tests.rig.moto import repair_multipart_uploads
from tests.upstream import only
from tests.world import ENDPOINT, World, moto_world, requests

CREATE = {"bytes": 7, "filename": "in.jsonl", "mime_type": "application/jsonl", "purpose": "user_data"}


@pytest.fixture
def nightlane(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    one_write_at_a_time(monkeypatch)
    repair_multipart_uploads()
    with moto_world(Settings(upstreams=only("http://127.0.0.1:9"), max_upload_bytes=100_000)) as world:
        yield world


def create(nightlane: World, **changes: Any) -> tuple[int, Any]:
    body = {name: value for name, value in (CREATE | changes).items() if value is not ...}
    return nightlane.call("POST", "/uploads", json.dumps(body).encode())


def new_upload(nightlane: World, **changes: Any) -> str:
    status, body = create(nightlane, **changes)
    assert status == 200, body
    return str(body["id"])


def add(nightlane: World, upload_id: str, data: bytes, name: str = "data", **options: Any) -> tuple[int, Any]:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="upload"\r\n\r\n'.encode()
    body, form = head + data + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    return nightlane.call("POST", f"/uploads/{upload_id}/parts", body, content_type=form, **options)


def part(nightlane: World, upload_id: str, data: bytes) -> str:
    status, body = add(nightlane, upload_id, data)
    assert status == 200, body
    return str(body["id"])


def complete(
    nightlane: World, upload_id: str, part_ids: list[Any], tenant: str = "acme", **fields: Any
) -> tuple[int, Any]:
    body = json.dumps({"part_ids": part_ids} | fields).encode()
    return nightlane.call("POST", f"/uploads/{upload_id}/complete", body, tenant=tenant)


def cancel(nightlane: World, upload_id: str, **options: Any) -> tuple[int, Any]:
    return nightlane.call("POST", f"/uploads/{upload_id}/cancel", **options)


def objects(nightlane: World) -> list[str]:
    """The keys of all objects, and of all multipart uploads that were neither completed nor aborted."""
    bucket = nightlane.ports.settings.bucket_name
    stored = nightlane.clients.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    open_uploads = nightlane.clients.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [each["Key"] for each in (*stored, *open_uploads)]


def content(nightlane: World, file_id: str) -> bytes:
    return nightlane.ports.blobs.get(f"files/acme/{file_id}")


def test_parts_become_a_file_in_the_order_that_was_asked_for(nightlane: World) -> None:
    status, body = create(nightlane, expires_after={"anchor": "created_at", "seconds": 3_600})
    upload = Upload.model_validate(body, strict=True)
    assert (status, upload.status, upload.file) == (200, "pending", None)
    assert upload.expires_at == upload.created_at + 3_600
    assert set(Upload.model_fields) <= set(body)
    status, added = add(nightlane, upload.id, b"cdefg")
    assert UploadPart.model_validate(added, strict=True).upload_id == upload.id
    unused, first = part(nightlane, upload.id, b"xx"), part(nightlane, upload.id, b"ab")
    status, body = complete(nightlane, upload.id, [first, added["id"]])
    completed = Upload.model_validate(body, strict=True)
    assert (status, completed.status, completed.id) == (200, "completed", upload.id)
    assert completed.file is not None
    assert (completed.file.bytes, completed.file.filename) == (7, "in.jsonl")
    assert completed.file.expires_at == completed.file.created_at + 3_600
    assert content(nightlane, completed.file.id) == b"abcdefg"
    assert nightlane.call("GET", f"/files/{completed.file.id}") == (200, body["file"])
    assert objects(nightlane) == [f"files/acme/{completed.file.id}"]
    assert unused


def test_a_completed_upload_is_an_input_like_any_other(nightlane: World) -> None:
    data = requests(3)
    upload_id = new_upload(nightlane, purpose="batch", bytes=len(data))
    ids = [part(nightlane, upload_id, data[at : at + 50]) for at in range(0, len(data), 50)]
    _, body = complete(nightlane, upload_id, ids)
    file = body["file"]
    assert (file["purpose"], file["expires_at"]) == ("batch", file["created_at"] + 2_592_000)
    batch_id = nightlane.create(file["id"], endpoint=ENDPOINT)
    nightlane.deliver("plan")
    assert nightlane.batch(batch_id).total == 3
    assert [each["id"] for each in nightlane.call("GET", "/files")[1]["data"]] == [file["id"]]


def test_a_repeated_complete_returns_the_same_file_and_another_one_is_refused(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abc"), part(nightlane, upload_id, b"defg")]
    first = complete(nightlane, upload_id, ids)
    assert first[0] == 200
    assert complete(nightlane, upload_id, ids) == first
    for parameters in ([*reversed(ids)], ids[:1]):
        assert "is completed" in error_of(complete(nightlane, upload_id, parameters), 400)["message"]
    assert "is completed" in error_of(complete(nightlane, upload_id, ids, md5="0" * 32), 400)["message"]
    assert "is completed" in error_of(add(nightlane, upload_id, b"late"), 400)["message"]
    assert "is completed" in error_of(cancel(nightlane, upload_id), 400)["message"]
    assert len(objects(nightlane)) == 1


def test_eight_completes_at_once_make_one_file(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abc"), part(nightlane, upload_id, b"defg")]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: complete(nightlane, upload_id, ids), range(8)))
    # A call whose parts were removed by the winner finds the file; none may fail.
    assert {status for status, _ in answers} == {200}
    assert len({body["file"]["id"] for _, body in answers}) == 1
    assert objects(nightlane) == [f"files/acme/{answers[0][1]['file']['id']}"]
    assert len(nightlane.call("GET", "/files")[1]["data"]) == 1


def test_a_checksum_is_refused_above_the_size_that_can_be_read_in_time(
    nightlane: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nightlane.ports.compositions.max_checked_bytes == 2**30
    monkeypatch.setattr(S3Compositions, "max_checked_bytes", 6)
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abcdefg")]
    assert error_of(complete(nightlane, upload_id, ids, md5="0" * 32), 400)["param"] == "md5"
    assert complete(nightlane, upload_id, ids)[0] == 200


def test_a_wrong_checksum_is_refused_and_may_be_corrected(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abcdefg")]
    wrong = complete(nightlane, upload_id, ids, md5="0" * 32)
    checksum = md5(b"abcdefg", usedforsecurity=False).hexdigest()
    error = error_of(wrong, 400)
    assert (error["param"], checksum in error["message"]) == ("md5", True)
    assert [key.split("/")[0] for key in objects(nightlane)] == ["uploads"]
    status, body = complete(nightlane, upload_id, ids, md5=checksum.upper())
    assert (status, content(nightlane, body["file"]["id"])) == (200, b"abcdefg")


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda ids: ids[:1], "The parts have 3 bytes in total, but the upload was created with 7 bytes."),
        (lambda _: [], "The parts have 0 bytes"),
        (lambda ids: [*ids, "part_x"], "no part with the id 'part_x'"),
        (lambda ids: [*ids, ""], "no part with the id ''"),
        (lambda ids: [ids[0], ids[0]], "only once"),
    ],
)
def test_parts_that_do_not_make_up_the_file_are_refused(
    nightlane: World, choose: Callable[[list[str]], list[str]], words: str
) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abc"), part(nightlane, upload_id, b"defg")]
    error = error_of(complete(nightlane, upload_id, choose(ids)), 400)
    assert (error["param"], words in error["message"]) == ("part_ids", True)
    assert complete(nightlane, upload_id, ids)[0] == 200


def test_a_complete_that_takes_too_long_is_continued_when_it_is_repeated(
    nightlane: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = nightlane.ports
    ports.settings.__dict__["max_upload_bytes"] = 4_000_000
    compositions = S3Compositions(nightlane.function_clients.s3, ports.settings.bucket_name, seconds=0)
    nightlane.ports = replace(ports, compositions=compositions)
    monkeypatch.setattr("nightlane.aws.compositions.WORKERS", 1)
    upload_id = new_upload(nightlane, bytes=7_000_000)
    ids = [part(nightlane, upload_id, each * 3_500_000) for each in (b"a", b"b")]
    body = json.dumps({"part_ids": ids}).encode()
    response = nightlane.respond("POST", f"/uploads/{upload_id}/complete", body)
    error = error_of((response["statusCode"], json.loads(response["body"])), 503)
    assert (error["type"], "Repeat the request" in error["message"]) == ("server_error", True)
    assert response["multiValueHeaders"]["Retry-After"] == ["1"]
    assert "already being completed" in error_of(complete(nightlane, upload_id, ids[:1]), 400)["message"]
    assert "already being completed" in error_of(add(nightlane, upload_id, b"late"), 400)["message"]
    nightlane.pass_time(7_200)
    status, answer = complete(nightlane, upload_id, ids)
    assert (status, content(nightlane, answer["file"]["id"])) == (200, b"a" * 3_500_000 + b"b" * 3_500_000)


def test_a_cancelled_upload_takes_no_parts_and_leaves_none(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abcdefg")]
    status, body = cancel(nightlane, upload_id)
    assert (status, body["status"], body["file"]) == (200, "cancelled", None)
    assert cancel(nightlane, upload_id) == (status, body)
    assert "is cancelled" in error_of(add(nightlane, upload_id, b"late"), 400)["message"]
    assert "is cancelled" in error_of(complete(nightlane, upload_id, ids), 400)["message"]
    assert objects(nightlane) == []


def test_an_upload_expires_after_an_hour_and_is_forgotten_a_day_later(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abcdefg")]
    nightlane.pass_time(3_601)
    for response in (
        add(nightlane, upload_id, b"late"),
        complete(nightlane, upload_id, ids),
        cancel(nightlane, upload_id),
    ):
        assert "is expired" in error_of(response, 400)["message"]
    nightlane.pass_time(86_400)
    assert "No such Upload" in error_of(complete(nightlane, upload_id, ids), 404)["message"]


def test_another_tenants_upload_does_not_exist(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    ids = [part(nightlane, upload_id, b"abcdefg")]
    for response in (
        add(nightlane, upload_id, b"x", tenant="other"),
        complete(nightlane, upload_id, ids, tenant="other"),
        cancel(nightlane, upload_id, tenant="other"),
        cancel(nightlane, "upload_none"),
    ):
        error = error_of(response, 404)
        assert (error["message"].split(":")[0], error["param"]) == ("No such Upload object", "id")
    assert complete(nightlane, upload_id, ids)[0] == 200


@pytest.mark.parametrize(
    ("changes", "code", "param", "words"),
    [
        ({"bytes": ...}, "missing_required_parameter", "bytes", "'bytes'"),
        ({"mime_type": ...}, "missing_required_parameter", "mime_type", "'mime_type'"),
        ({"bytes": 0}, "integer_below_min_value", "bytes", ">= 1"),
        ({"bytes": 8 * 2**30 + 1}, "integer_above_max_value", "bytes", "<= 8589934592"),
        ({"bytes": "7"}, "invalid_type", "bytes", "expected an integer"),
        ({"purpose": "nonsense"}, "invalid_value", "purpose", "'batch'"),
        ({"purpose": "batch", "bytes": 209_715_201}, None, None, "209715200 bytes"),
        ({"filename": ""}, "string_below_min_length", "filename", "empty"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "integer_below_min_value", None, "3600"),
    ],
)
def test_an_invalid_upload_is_refused_with_the_reason(
    nightlane: World, changes: dict[str, Any], code: str | None, param: str | None, words: str
) -> None:
    error = error_of(create(nightlane, **changes), 400)
    assert error["code"] == code
    assert param in (None, error["param"])
    assert words in error["message"]


def test_invalid_parts_and_completions_are_refused_with_the_reason(nightlane: World) -> None:
    upload_id = new_upload(nightlane)
    error = error_of(add(nightlane, upload_id, b"abc", name="file"), 400)
    assert (error["code"], error["param"]) == ("unknown_parameter", "file")
    form = "multipart/form-data; boundary=x"
    text = b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\nabc\r\n--x--\r\n'
    for body, code in ((text, "invalid_type"), (b"--x--\r\n", "missing_required_parameter")):
        response = nightlane.call("POST", f"/uploads/{upload_id}/parts", body, content_type=form)
        error = error_of(response, 400)
        assert (error["code"], error["param"]) == (code, "data")
    error = error_of(add(nightlane, upload_id, b"x" * 100_001), 413)
    assert (error["param"], "larger than 100000 bytes" in error["message"]) == ("data", True)
    error = error_of(complete(nightlane, upload_id, [1]), 400)
    assert (error["code"], error["param"]) == ("invalid_type", "part_ids.0")
    response = nightlane.call("POST", f"/uploads/{upload_id}/complete", b'{"part_ids": "x"}')
    assert "expected an array" in error_of(response, 400)["message"]
    assert error_of(nightlane.call("POST", f"/uploads/{upload_id}/complete", b"{"), 400)
    assert objects(nightlane) == []


def test_a_batch_input_must_begin_with_json(nightlane: World) -> None:
    upload_id = new_upload(nightlane, purpose="batch")
    ids = [part(nightlane, upload_id, b"no "), part(nightlane, upload_id, b"json")]
    error = error_of(complete(nightlane, upload_id, ids), 400)
    assert error["message"] == "Invalid file format for Batch API. Must be .jsonl"
    assert [key.split("/")[0] for key in objects(nightlane)] == ["uploads", "uploads"]
