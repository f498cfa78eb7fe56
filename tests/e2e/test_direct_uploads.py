"""Direct uploads with the official client and real PUTs, on one machine and on the rig."""

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai.types import FileObject

from infra.cli.presigned import upload_presigned
from tests.e2e.conftest import HomeInstance, Instance
from tests.world import requests

DATA = requests(3)
BATCH: dict[str, Any] = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


def begin(instance: Instance, data: bytes = DATA) -> Any:
    body = {"filename": "in.jsonl", "purpose": "batch", "bytes": len(data)}
    return instance.client.post("/files", body=body, cast_to=FileObject)


def put(upload: dict[str, Any], data: bytes = DATA, **changes: str) -> int:
    """Send the content as the server asks for it. Returns the status."""
    url = urlsplit(changes.get("url", upload["url"]))
    is_secure = url.scheme == "https"
    connection_to = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = connection_to(url.netloc, timeout=60)
    connection.request(upload["method"], f"{url.path}?{url.query}", data, upload["headers"])
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def complete(client: openai.OpenAI, file_id: str) -> FileObject:
    return client.post(f"/files/{file_id}/complete", cast_to=FileObject)


def test_a_file_that_was_put_is_completed_by_itself(instance: Instance) -> None:
    pending = begin(instance)
    assert (pending.status, pending.bytes) == ("pending", len(DATA))
    assert put(pending.upload) == 200
    file = instance.client.files.wait_for_processing(pending.id, poll_interval=0.1, max_wait_seconds=20)
    assert file.status == "processed"
    batch = instance.client.batches.create(input_file_id=file.id, **BATCH)
    assert instance.wait(batch.id).status == "completed"
    assert instance.client.files.content(file.id).content == DATA
    assert instance.client.files.delete(file.id).deleted


def test_a_completed_file_cannot_be_changed_or_completed_otherwise(instance: Instance) -> None:
    pending = begin(instance)
    assert put(pending.upload) == 200
    file = complete(instance.client, pending.id)
    assert complete(instance.client, pending.id) == file
    assert put(pending.upload, DATA.replace(b"Question", b"Forgery!")) == 412
    assert instance.client.files.content(file.id).content == DATA
    assert pending.id in {each.id for each in instance.client.files.list()}


def test_a_pending_file_is_not_usable_and_not_listed(instance: Instance) -> None:
    pending = begin(instance)
    assert str(instance.client.files.retrieve(pending.id).status) == "pending"
    assert pending.id not in {each.id for each in instance.client.files.list()}
    for use in (lambda: complete(instance.client, pending.id), lambda: instance.text(pending.id)):
        with pytest.raises(openai.BadRequestError):
            use()
    batch = instance.wait(instance.client.batches.create(input_file_id=pending.id, **BATCH).id)
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert "has not been uploaded yet" in str(batch.errors.data[0].message)
    with instance.client_of("other") as other:
        for refused in (other.files.retrieve, other.files.delete, lambda file_id: complete(other, file_id)):
            with pytest.raises(openai.NotFoundError):
                refused(pending.id)


def test_content_of_a_deleted_file_is_not_kept(instance: Instance) -> None:
    pending = begin(instance)
    instance.client.files.delete(pending.id)
    assert put(pending.upload) == 200
    with pytest.raises(openai.NotFoundError):
        complete(instance.client, pending.id)
    with pytest.raises(openai.NotFoundError):
        instance.client.files.content(pending.id)


def test_content_that_is_not_jsonl_is_refused(instance: Instance) -> None:
    data = b"no json"
    pending = begin(instance, data)
    assert put(pending.upload, data) == 200
    file = instance.client.files.wait_for_processing(pending.id, poll_interval=0.1, max_wait_seconds=20)
    assert (file.status, file.status_details) == (
        "error",
        "Invalid file format for Batch API. Must be .jsonl",
    )


def test_a_file_is_put_in_one_piece_or_left_to_another_way(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(DATA + b"\n" * 5_000_000)
    file = upload_presigned(instance.client, path)
    assert file is not None
    assert (file.status, file.bytes, file.filename) == ("processed", path.stat().st_size, "in.jsonl")
    batch = instance.client.batches.create(input_file_id=file.id, **BATCH)
    assert instance.wait(batch.id).status == "completed"
    monkeypatch.setattr("infra.cli.presigned._put_once", lambda *_: 403)
    assert upload_presigned(instance.client, path) is None


def test_servers_without_direct_uploads_get_a_form(tmp_path: Path, instance: Instance) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(DATA)
    with openai.OpenAI(base_url=instance.upstream.url, api_key="sk-1", max_retries=0) as client:
        assert upload_presigned(client, path) is None


def test_the_home_takes_only_what_a_url_was_issued_for(instance: Instance) -> None:
    if not isinstance(instance, HomeInstance):
        # moto checks no signatures: tests/unit/test_presigned_urls.py shows what S3 would check.
        return
    pending = begin(instance)
    upload: dict[str, Any] = pending.upload
    assert put(upload | {"headers": {}}, DATA[:-1]) == 403
    other = urlsplit(upload["url"])._replace(query=urlsplit(upload["url"]).query.replace("acme", "other"))
    assert put(upload, url=other.geturl()) == 403
    assert put(upload) == 200
