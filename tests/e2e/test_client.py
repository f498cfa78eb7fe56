"""The official Python client, unmodified, against every kind of instance."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import pytest

from tests.e2e.conftest import Instance
from tests.world import requests

GSM8K = Path(__file__).parents[3] / "shared/data/gsm8k-test.jsonl"
CREATE = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


def test_a_batch_from_upload_to_results(instance: Instance) -> None:
    created = instance.create(requests(20), metadata={"job": "nightly"})
    assert created.status == "validating"
    batch = instance.wait(created.id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed) == (20, 20)
    assert batch.metadata == {"job": "nightly"}
    assert batch.error_file_id is None
    assert batch.output_file_id is not None
    file = instance.client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at == file.created_at + 2_592_000
    lines = [json.loads(line) for line in instance.text(batch.output_file_id).splitlines()]
    assert [line["custom_id"] for line in lines] == [f"request-{number}" for number in range(20)]
    listed = [each.id for each in instance.client.batches.list(limit=2)]
    assert batch.id in listed


@pytest.mark.skipif(not GSM8K.exists(), reason="the GSM8K questions are not beside this checkout")
def test_all_1319_gsm8k_questions_are_answered_once(instance: Instance) -> None:
    questions = [json.loads(line)["question"] for line in GSM8K.read_text().splitlines()]
    lines = [
        {
            "custom_id": f"gsm8k-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "mock-small", "messages": [{"role": "user", "content": question}]},
        }
        for number, question in enumerate(questions)
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    batch = instance.wait(instance.create(data).id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (1_319, 1_319, 0)
    assert (batch.model, batch.errors, batch.error_file_id) == ("mock-small", None, None)
    times = (batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at)
    assert list(times) == sorted(time for time in times if time is not None)
    assert batch.expires_at == batch.created_at + 86_400
    results = [json.loads(line) for line in instance.text(batch.output_file_id).splitlines()]
    assert [line["custom_id"] for line in results] == [line["custom_id"] for line in lines]
    bodies = [line["response"]["body"] for line in results]
    assert all(isinstance(body, dict) and body["object"] == "chat.completion" for body in bodies)
    assert batch.usage is not None
    assert batch.usage.total_tokens == sum(body["usage"]["total_tokens"] for body in bodies)
    assert batch.usage.input_tokens == sum(body["usage"]["prompt_tokens"] for body in bodies)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", {"model": "mock-small", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/completions", {"model": "mock-small", "prompt": "hi"}),
        ("/v1/embeddings", {"model": "mock-embedding", "input": ["a", "b"]}),
        ("/v1/responses", {"model": "mock-large", "input": "hi"}),
        ("/v1/moderations", {"model": "mock-moderation", "input": "hi"}),
    ],
)
def test_every_endpoint_runs(instance: Instance, endpoint: str, body: dict[str, object]) -> None:
    line = json.dumps({"custom_id": "a", "method": "POST", "url": endpoint, "body": body}).encode()
    file = instance.client.files.create(file=("a.jsonl", line, "application/jsonl"), purpose="batch")
    batch = instance.client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
    )
    ended = instance.wait(batch.id)
    assert (ended.status, ended.error_file_id) == ("completed", None)
    assert json.loads(instance.text(ended.output_file_id))["response"]["body"]["model"] == body["model"]


def test_a_model_the_upstream_does_not_have_fails_the_batch(instance: Instance) -> None:
    batch = instance.wait(instance.create(requests(2, model="nonsense")).id)
    assert (batch.status, batch.output_file_id) == ("failed", None)
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(each.code, each.line) for each in batch.errors.data] == [
        ("model_not_found", 1),
        ("model_not_found", 2),
    ]


def test_models_come_from_the_upstream(instance: Instance) -> None:
    assert "mock-small" in [model.id for model in instance.client.models.list()]
    assert instance.client.models.retrieve("mock-large").owned_by == "nightlane"
    with pytest.raises(openai.NotFoundError, match="The model 'a/b' does not exist") as caught:
        instance.client.models.retrieve("a/b")
    assert caught.value.code == "model_not_found"


def test_a_key_gives_access_to_its_tenant_only(instance: Instance) -> None:
    batch = instance.create(requests(1))
    with instance.client_of("other") as other, pytest.raises(openai.NotFoundError, match="No batch found"):
        other.batches.retrieve(batch.id)
    with (
        openai.OpenAI(base_url=instance.base_url, api_key="sk-nobody-0123456789abcdef") as nobody,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        nobody.batches.list()
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id
    response = httpx2.get(f"{instance.base_url}/batches")
    assert (response.status_code, response.json()["error"]["type"]) == (401, "invalid_request_error")
    response = httpx2.get(f"{instance.base_url}/batches", headers={"Authorization": "Basic abc"})
    assert response.status_code == 401
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_the_openapi_document_and_its_page_need_no_key(instance: Instance) -> None:
    document = httpx2.get(f"{instance.base_url}/openapi.json", timeout=60)
    assert document.status_code == 200, document.text
    assert document.json()["paths"]["/batches"]["post"]["operationId"] == "createBatch"
    page = httpx2.get(f"{instance.base_url}/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert httpx2.get(f"{instance.base_url}/openapi.json/x").status_code == 401


def test_32_concurrent_creates_with_one_token_create_one_batch(instance: Instance) -> None:
    file = instance.client.files.create(file=requests(1), purpose="batch")

    def create(metadata: dict[str, str]) -> str:
        batch = instance.client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata=metadata,
            extra_body={"idem_tok": f"race-{file.id}"},
        )
        return batch.id

    with ThreadPoolExecutor(32) as pool:
        ids = set(pool.map(create, [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}] * 16))
    assert len(ids) == 1
    with pytest.raises(openai.ConflictError, match="conflict") as caught:
        create({"a": "other"})
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.request.headers.get("x-stainless-retry-count") == "0"
    instance.wait(ids.pop())


@pytest.mark.parametrize("name", ["spaß 中.jsonl", "upload", 'a"b.txt'])
def test_a_file_is_downloaded_exactly_as_it_was_uploaded(instance: Instance, name: str) -> None:
    data = b"\xef\xbb\xbf" + '{"text": "é中🙂"}\r\n{"x": "--boundary"}'.encode()
    file = instance.client.files.create(file=(name, data), purpose="batch")
    assert instance.client.files.wait_for_processing(file.id).status == "processed"
    assert instance.client.files.content(file.id).read() == data
    assert instance.client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object") as caught:
        instance.client.files.retrieve(file.id)
    assert caught.value.param == "id"


def test_a_chunked_body_with_the_file_first_is_accepted(instance: Instance) -> None:
    data = b'{"a": 1}\n'
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
    tail = b'\r\n--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'

    def chunks() -> Iterator[bytes]:
        yield from (head, data, tail)

    response = httpx2.post(
        f"{instance.base_url}/files",
        content=chunks(),
        headers={
            "Authorization": f"Bearer {instance.client.api_key}",
            "Content-Type": "multipart/form-data; boundary=x",
        },
    )
    assert response.status_code == 200, response.text
    assert response.json()["bytes"] == len(data)


def test_large_content_is_complete_and_on_aws_sent_by_redirect(instance: Instance) -> None:
    data = b'{"a": 1}\n' * 480_000
    file = instance.client.files.create(file=data, purpose="batch")
    content = instance.client.files.content(file.id)
    assert [each.status_code for each in content.response.history] == [302] * instance.redirects_content
    assert content.read() == data


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\x01" * 1_100_000], ids=["no text", "long as JSON"])
def test_content_that_a_function_cannot_return_is_on_aws_sent_by_redirect(
    instance: Instance, data: bytes
) -> None:
    file = instance.client.files.create(file=data, purpose="fine-tune")
    content = instance.client.files.content(file.id)
    assert [each.status_code for each in content.response.history] == [302] * instance.redirects_content
    assert content.read() == data


def test_files_can_be_deleted_while_they_are_listed(instance: Instance) -> None:
    with instance.client_of("other") as client:
        made = {client.files.create(file=requests(1), purpose="batch").id for _ in range(5)}
        deleted = {file.id for file in client.files.list(limit=2) if client.files.delete(file.id).deleted}
        assert deleted == made
        assert list(client.files.list()) == []
