"""The official client's uploads in parts, synchronous and not, and the commands that use them."""

import asyncio
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Upload

from infra.cli.uploading import ONE_REQUEST_BYTES, upload_file
from tests.e2e.conftest import ACME, NIGHTLANE, Instance
from tests.world import requests

# Several parts, of which one is no multiple of anything.
DATA = requests(300)
PART_BYTES = 19_999


def create(instance: Instance, data: bytes = DATA, **options: Any) -> Upload:
    return instance.client.uploads.create(
        bytes=len(data), filename="in.jsonl", mime_type="application/jsonl", purpose="batch", **options
    )


def pieces(data: bytes = DATA) -> list[bytes]:
    return [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]


def add(instance: Instance, upload: Upload, piece: bytes) -> str:
    return instance.client.uploads.parts.create(upload.id, data=piece).id


def content(instance: Instance, upload: Upload) -> bytes:
    assert upload.file is not None
    return instance.client.files.content(upload.file.id).read()


def test_a_file_uploaded_in_parts_runs_as_a_batch(instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(DATA)
    upload = instance.client.uploads.upload_file_chunked(
        file=path,
        mime_type="application/jsonl",
        purpose="batch",
        part_size=PART_BYTES,
        md5=md5(DATA, usedforsecurity=False).hexdigest(),
    )
    assert (upload.status, upload.bytes, upload.filename) == ("completed", len(DATA), "questions.jsonl")
    assert content(instance, upload) == DATA
    assert upload.file is not None
    assert instance.client.files.retrieve(upload.file.id) == upload.file
    batch = instance.client.batches.create(
        input_file_id=upload.file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    ended = instance.wait(batch.id)
    assert ended.request_counts is not None
    assert (ended.status, ended.request_counts.completed) == ("completed", 300)


def test_the_asynchronous_client_uploads_in_parts(instance: Instance) -> None:
    async def upload() -> Upload:
        async with openai.AsyncOpenAI(base_url=instance.base_url, api_key=ACME) as client:
            return await client.uploads.upload_file_chunked(
                file=DATA,
                filename="questions.jsonl",
                bytes=len(DATA),
                mime_type="application/jsonl",
                purpose="batch",
                part_size=PART_BYTES,
            )

    assert content(instance, asyncio.run(upload())) == DATA


def test_parts_may_arrive_in_parallel_in_any_order_and_repeatedly(instance: Instance) -> None:
    upload = create(instance)
    backwards = [*reversed(pieces()), pieces()[0], pieces()[1]]
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda piece: add(instance, upload, piece), backwards))
    assert len(set(ids)) == len(backwards)
    in_order = [*reversed(ids[: len(pieces())])]
    completed = instance.client.uploads.complete(upload.id, part_ids=in_order)
    assert content(instance, completed) == DATA
    assert instance.client.uploads.complete(upload.id, part_ids=in_order) == completed
    with pytest.raises(openai.BadRequestError, match="is completed"):
        add(instance, upload, b"late")


def test_completes_and_a_cancel_at_once_have_one_winner(instance: Instance) -> None:
    upload = create(instance)
    ids = [add(instance, upload, piece) for piece in pieces()]

    def end(number: int) -> str:
        try:
            if number == 3:
                return str(instance.client.uploads.cancel(upload.id).status)
            completed = instance.client.uploads.complete(upload.id, part_ids=ids)
            assert completed.file is not None
            return completed.file.id
        except openai.BadRequestError as error:
            return error.message

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(end, range(6)))
    if ends[3] == "cancelled":
        assert all("is cancelled" in each for number, each in enumerate(ends) if number != 3)
    else:
        assert "is completed" in ends.pop(3)
        (file_id,) = set(ends)
        assert instance.client.files.content(file_id).read() == DATA


def test_wrong_sizes_and_checksums_are_refused(instance: Instance) -> None:
    upload = create(instance)
    ids = [add(instance, upload, piece) for piece in pieces()]
    with pytest.raises(openai.BadRequestError, match="bytes in total") as caught:
        instance.client.uploads.complete(upload.id, part_ids=ids[1:])
    assert caught.value.param == "part_ids"
    with pytest.raises(openai.BadRequestError, match="MD5") as caught:
        instance.client.uploads.complete(upload.id, part_ids=ids, md5="0" * 32)
    assert caught.value.param == "md5"
    assert content(instance, instance.client.uploads.complete(upload.id, part_ids=ids)) == DATA


def test_a_cancelled_upload_takes_no_more_parts(instance: Instance) -> None:
    upload = create(instance)
    ids = [add(instance, upload, piece) for piece in pieces()]
    assert instance.client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="is cancelled"):
        add(instance, upload, b"late")
    with pytest.raises(openai.BadRequestError, match="is cancelled"):
        instance.client.uploads.complete(upload.id, part_ids=ids)


def test_another_tenant_cannot_touch_an_upload(instance: Instance) -> None:
    upload = create(instance)
    with instance.client_of("other") as other:
        for call in (
            lambda: other.uploads.parts.create(upload.id, data=b"x"),
            lambda: other.uploads.complete(upload.id, part_ids=[]),
            lambda: other.uploads.cancel(upload.id),
        ):
            with pytest.raises(openai.NotFoundError, match="No such Upload"):
                call()


def test_the_commands_send_a_large_file_in_parts(instance: Instance, tmp_path: Path) -> None:
    path, data = tmp_path / "large.jsonl", requests(6, user="x" * 750_000)
    path.write_bytes(data)
    assert len(data) > ONE_REQUEST_BYTES
    given = ["--base-url", instance.base_url, "--api-key", ACME]
    command = [*NIGHTLANE, "upload", str(path), *given, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    file = json.loads(done.stdout)
    assert (file["bytes"], file["filename"], file["purpose"]) == (len(data), "large.jsonl", "batch")
    assert instance.client.files.content(file["id"]).read() == data
    command = [*NIGHTLANE, "run", str(path), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "6 completed" in done.stderr) == (0, True), done.stderr


def test_a_server_without_uploads_gets_one_request(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"x" * (ONE_REQUEST_BYTES + 1))
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        if request.url.path == "/v1/uploads":
            return httpx2.Response(404, json={"error": {"message": "Invalid URL"}})
        return httpx2.Response(200, json={"id": "file-1", "object": "file", "bytes": 1})

    transport = httpx2.MockTransport(answer)
    with openai.OpenAI(
        base_url="http://server.test/v1", api_key="x", http_client=httpx2.Client(transport=transport)
    ) as client:
        assert upload_file(client, path).id == "file-1"
    assert asked == ["/v1/files", "/v1/uploads", "/v1/files"]
