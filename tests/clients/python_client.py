"""The official Python client against a running server: the same tests for every major version of it.

`test_official_clients.py` runs this file where the client and pytest are installed, and none of our packages.
"""

import asyncio
import io
import json
import os
import queue
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest
from openai.types import Batch

URL, FLAKY_URL = os.environ["NIGHTLANE_URL"], os.environ["NIGHTLANE_FLAKY_URL"]
KEY, OTHER_KEY = os.environ["NIGHTLANE_KEY"], os.environ["NIGHTLANE_OTHER_KEY"]
FEATURES = frozenset(os.environ["NIGHTLANE_PATHS"].split())
ENDED = {"completed", "failed", "expired", "cancelled"}
SECONDS = 60
NEW_BATCH: Any = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


def request_line(number: int) -> bytes:
    body = {"model": "mock-small", "messages": [{"role": "user", "content": f"Zeile {number}: é中🙂\u2028"}]}
    line = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


LINES = b"".join(request_line(number) for number in range(20))
IDS = [f"line-{number}" for number in range(20)]


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=URL, api_key=KEY) as made:
        yield made


@pytest.fixture(scope="module")
def completed(client: openai.OpenAI) -> Batch:
    file = client.files.create(file=("größer.jsonl", LINES), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, metadata={"job": "nightly"}, **NEW_BATCH)
    assert (batch.status, batch.metadata) == ("validating", {"job": "nightly"})
    deadline = time.monotonic() + SECONDS
    while batch.status not in ENDED:
        assert time.monotonic() < deadline, batch
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    return batch


@pytest.fixture(scope="module")
def output(completed: Batch) -> str:
    assert completed.output_file_id is not None
    return completed.output_file_id


def ids_of(lines: Any) -> list[str]:
    return [json.loads(line)["custom_id"] for line in lines]


FORMS: dict[str, Callable[[Path], Any]] = {
    "bytes": Path.read_bytes,
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "path": lambda path: path,
    "open file": lambda path: path.open("rb"),
    "with a name": lambda path: (path.name, path.read_bytes()),
    "with a type": lambda path: (path.name, io.BytesIO(path.read_bytes()), "application/jsonl"),
    "with headers": lambda path: (path.name, path.read_bytes(), "application/jsonl", {"X-Part": "1"}),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_a_file_in_every_form_is_uploaded(
    client: openai.OpenAI, tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINES)
    file = client.files.create(
        file=make(path), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3_600}
    )
    assert (file.object, file.purpose, file.bytes) == ("file", "batch", len(LINES))
    assert file.expires_at == file.created_at + 3_600
    assert client.files.content(file.id).read() == LINES


def test_results_are_read_in_every_way(client: openai.OpenAI, output: str, tmp_path: Path) -> None:
    content = client.files.content(output)
    assert ids_of(content.text.splitlines()) == IDS
    assert ids_of(content.iter_lines()) == IDS
    assert ids_of(content.read().splitlines()) == IDS
    assert ids_of(b"".join(client.files.content(output).iter_bytes(1_000)).splitlines()) == IDS
    content.write_to_file(tmp_path / "whole")
    with client.files.with_streaming_response.content(output) as streamed:
        assert ids_of(streamed.iter_lines()) == IDS
    with client.files.with_streaming_response.content(output) as streamed:
        streamed.stream_to_file(tmp_path / "streamed")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "streamed").read_bytes() == content.content


def test_a_batch_is_complete_and_its_counts_match(client: openai.OpenAI, completed: Batch) -> None:
    assert completed.request_counts is not None
    assert (completed.request_counts.total, completed.request_counts.completed) == (20, 20)
    assert (completed.errors, completed.error_file_id, completed.failed_at) == (None, None, None)
    assert completed.expires_at == completed.created_at + 86_400
    assert Batch.model_validate(completed.model_dump(), strict=True) == completed


def test_raw_and_streamed_responses_have_the_request_id(client: openai.OpenAI, completed: Batch) -> None:
    raw = client.batches.with_raw_response.retrieve(completed.id)
    assert str(raw.headers["x-request-id"]).startswith("req_")
    assert raw.parse().id == completed.id
    with client.batches.with_streaming_response.retrieve(completed.id) as streamed:
        assert streamed.parse().id == completed.id
    assert client.batches.retrieve(completed.id)._request_id


def test_iterators_walk_through_all_pages(client: openai.OpenAI) -> None:
    made = [client.files.create(file=LINES, purpose="user_data").id for _ in range(5)]
    listed = [file.id for file in client.files.list(purpose="user_data", limit=2)]
    assert listed[:5] == made[::-1]
    oldest = client.files.list(purpose="user_data", order="asc", limit=3)
    assert len(oldest.data) == 3
    assert oldest.has_next_page()
    assert oldest.get_next_page().data[0].id not in [file.id for file in oldest.data]
    for file_id in made:
        assert client.files.delete(file_id).deleted
    assert set(made).isdisjoint(file.id for file in client.files.list())
    batches = [client.batches.create(input_file_id="file-missing", **NEW_BATCH).id for _ in range(3)]
    assert [batch.id for batch in client.batches.list(limit=1)][:3] == batches[::-1]


def test_errors_have_the_right_class_and_every_field(client: openai.OpenAI, completed: Batch) -> None:
    with pytest.raises(openai.NotFoundError, match="No such File object") as missing:
        client.files.retrieve("file-missing")
    error = missing.value
    assert (error.status_code, error.type, error.param) == (404, "invalid_request_error", "id")
    assert str(error.request_id).startswith("req_")
    endpoint: Any = "/v1/nonsense"
    with pytest.raises(openai.BadRequestError, match="invalid_value") as invalid:
        client.batches.create(input_file_id="file-x", endpoint=endpoint, completion_window="24h")
    assert (invalid.value.code, invalid.value.param) == ("invalid_value", "endpoint")
    with pytest.raises(openai.ConflictError, match="Cannot cancel") as conflict:
        client.batches.cancel(completed.id)
    assert conflict.value.request.headers.get("x-stainless-retry-count") == "0"
    with openai.OpenAI(base_url=URL, api_key="sk-nobody-0123456789abcdef") as nobody:
        with pytest.raises(openai.AuthenticationError) as unknown:
            nobody.batches.list()
        assert unknown.value.code == "invalid_api_key"
    with openai.OpenAI(base_url=URL, api_key=OTHER_KEY) as other, pytest.raises(openai.NotFoundError):
        other.batches.retrieve(completed.id)


def test_a_running_batch_is_cancelled(client: openai.OpenAI) -> None:
    line = json.loads(request_line(0))
    line["body"]["mock"] = {"latency": 5}
    file = client.files.create(file=json.dumps(line).encode(), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, **NEW_BATCH)
    cancelling = client.batches.cancel(batch.id)
    assert cancelling.status in ("cancelling", "cancelled")
    assert cancelling.cancelling_at is not None


def test_every_call_is_retried_while_the_server_is_unavailable(completed: Batch, output: str) -> None:
    """Behind a proxy that refuses each first attempt."""
    with openai.OpenAI(base_url=FLAKY_URL, api_key=KEY) as client:
        file = client.files.create(file=("in.jsonl", io.BytesIO(LINES)), purpose="batch")
        assert file.bytes == len(LINES)
        assert client.files.content(output).text
        assert completed.id in [batch.id for batch in client.batches.list()]
        assert client.batches.create(input_file_id=file.id, **NEW_BATCH).status == "validating"
        with pytest.raises(openai.InternalServerError):
            client.with_options(max_retries=0).batches.list()


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert "mock-small" in [model.id for model in client.models.list()]
    assert client.models.retrieve("mock-large").id == "mock-large"
    with pytest.raises(openai.NotFoundError, match="a/b"):
        client.models.retrieve("a/b")


def test_the_asynchronous_client_does_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=FLAKY_URL, api_key=KEY) as client:
            file = await client.files.create(file=("in.jsonl", LINES), purpose="batch")
            batch = await client.batches.create(input_file_id=file.id, **NEW_BATCH)
            deadline = time.monotonic() + SECONDS
            while batch.status not in ENDED:
                assert time.monotonic() < deadline, batch
                await asyncio.sleep(0.1)
                batch = await client.batches.retrieve(batch.id)
            assert (batch.status, batch.output_file_id is not None) == ("completed", True)
            output = str(batch.output_file_id)
            assert ids_of((await client.files.content(output)).text.splitlines()) == IDS
            async with client.files.with_streaming_response.content(output) as streamed:
                assert ids_of([line async for line in streamed.iter_lines()]) == IDS
            raw = await client.files.with_raw_response.retrieve(output)
            assert raw.parse().purpose == "batch_output"
            assert batch.id in [each.id async for each in client.batches.list(limit=2)]
            assert (await client.files.wait_for_processing(file.id)).status == "processed"
            results = await asyncio.gather(
                *(client.files.retrieve(f"file-missing{number}") for number in range(10)),
                return_exceptions=True,
            )
            assert [type(each) for each in results] == [openai.NotFoundError] * 10
            assert (await client.files.delete(file.id)).deleted

    asyncio.run(run())


@pytest.mark.skipif("/uploads" not in FEATURES, reason="this server has no uploads")
def test_a_large_file_is_uploaded_in_parts(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    path.write_bytes(LINES * 2_000)
    upload = client.uploads.upload_file_chunked(
        file=path, mime_type="application/jsonl", purpose="batch", part_size=4 * 1024 * 1024
    )
    assert (upload.status, upload.bytes) == ("completed", path.stat().st_size)
    assert upload.file is not None
    assert client.files.content(upload.file.id).read() == path.read_bytes()
    pending = client.uploads.create(
        bytes=len(LINES), filename="in.jsonl", mime_type="application/jsonl", purpose="batch"
    )
    client.uploads.parts.create(pending.id, data=LINES)
    assert client.uploads.cancel(pending.id).status == "cancelled"
    with pytest.raises(openai.APIStatusError) as late:
        client.uploads.complete(pending.id, part_ids=["part_x"])
    assert late.value.status_code in (400, 409)


@pytest.mark.skipif("/webhook_endpoints" not in FEATURES, reason="this server cannot call this machine")
def test_a_received_event_is_unwrapped(client: openai.OpenAI, completed: Batch) -> None:
    received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        new = {
            "name": "ours",
            "url": f"http://127.0.0.1:{server.server_port}/",
            "event_types": ["batch.completed"],
        }
        # Versions before 3.30 have no methods for endpoints.
        endpoint: Any = client.post("/webhook_endpoints", body=new, cast_to=object)
        file = client.files.create(file=("in.jsonl", LINES), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, **NEW_BATCH)
        headers, body = received.get(timeout=SECONDS)
        while json.loads(body)["data"]["id"] != batch.id:
            headers, body = received.get(timeout=SECONDS)
        client.delete(f"/webhook_endpoints/{endpoint['id']}", cast_to=object)
        server.shutdown()
    event: Any = client.webhooks.unwrap(body, headers, secret=endpoint["signing_secret"])
    assert (event.type, event.data.id) == ("batch.completed", batch.id)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body + b" ", headers, secret=endpoint["signing_secret"])
