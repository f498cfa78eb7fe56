"""The extensions around results, with the official client on one machine and on the rig."""

import json
import time
from typing import Any

import openai
import pytest
from openai import HttpxBinaryResponseContent
from openai.types import Batch

from tests.e2e.conftest import Instance
from tests.world import requests


def read_page(client: openai.OpenAI, batch_id: str, **query: Any) -> tuple[list[Any], str, bool]:
    """Return a page's lines, the cursor after them, and whether there may be more."""
    page = client.get(
        f"/batches/{batch_id}/results", cast_to=HttpxBinaryResponseContent, options={"params": query}
    )
    headers = page.response.headers
    lines = [json.loads(line) for line in page.text.splitlines()]
    return lines, headers["X-Last-Line"], headers["X-Incomplete"] == "true"


def retry(client: openai.OpenAI, batch_id: str) -> Batch:
    token = f"retry of {batch_id}"
    return client.post(
        f"/batches/{batch_id}/retry", cast_to=Batch, options={"headers": {"Idempotency-Key": token}}
    )


def test_results_are_read_while_the_batch_runs(instance: Instance) -> None:
    slow = requests(1, mock={"latency": 4}).replace(b"request-0", b"slow")
    batch = instance.create(slow + requests(20))
    client, after, is_incomplete = instance.client, "0", True
    lines: list[Any] = []
    statuses = set()
    while is_incomplete:
        found, after, is_incomplete = read_page(client, batch.id, after=after, limit=8)
        lines += found
        if found:
            statuses.add(client.batches.retrieve(batch.id).status)
        time.sleep(0.5)
    assert "in_progress" in statuses
    assert len({line["id"] for line in lines}) == len(lines) == 21
    ended = instance.wait(batch.id)
    whole = [json.loads(line) for line in instance.text(ended.output_file_id).splitlines()]
    assert sorted(lines, key=lambda line: line["id"]) == sorted(whole, key=lambda line: line["id"])
    again, after, is_incomplete = read_page(client, batch.id)
    assert (again, after, is_incomplete) == (whole, "21", False)


def test_another_tenant_cannot_read_results(instance: Instance) -> None:
    batch = instance.create(requests(1))
    with instance.client_of("other") as other, pytest.raises(openai.NotFoundError):
        read_page(other, batch.id)


def test_failed_lines_are_retried_without_an_upload(instance: Instance) -> None:
    bad = requests(2, mock={"status": 400}).replace(b"request-", b"bad-")
    first = instance.wait(instance.create(requests(3) + bad, metadata={"job": "nightly"}).id)
    second = retry(instance.client, first.id)
    assert second.metadata == {"job": "nightly", "retry_of": first.id}
    assert second.input_file_id == first.input_file_id
    ended = instance.wait(second.id)
    assert ended.request_counts is not None
    counts = ended.request_counts
    assert (ended.status, counts.total, counts.failed) == ("completed", 2, 2)
    errors = [json.loads(line) for line in instance.text(ended.error_file_id).splitlines()]
    assert [line["custom_id"] for line in errors] == ["bad-0", "bad-1"]
    assert retry(instance.client, first.id).id == second.id
    with instance.client_of("other") as other, pytest.raises(openai.NotFoundError):
        retry(other, first.id)


def test_a_batch_that_has_not_ended_is_not_retried(instance: Instance) -> None:
    batch = instance.create(requests(1, mock={"latency": 5}))
    with pytest.raises(openai.ConflictError) as refused:
        retry(instance.client, batch.id)
    assert refused.value.response.headers["x-should-retry"] == "false"
    instance.client.batches.cancel(batch.id)


def test_a_batch_is_created_from_requests_in_the_body(instance: Instance) -> None:
    lines = [json.loads(line) for line in requests(3).splitlines()]
    unset: Any = openai.omit
    batch = instance.client.batches.create(
        input_file_id=unset,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_body={"requests": lines},
    )
    assert [json.loads(line) for line in instance.text(batch.input_file_id).splitlines()] == lines
    ended = instance.wait(batch.id)
    assert [json.loads(line)["custom_id"] for line in instance.text(ended.output_file_id).splitlines()] == [
        "request-0",
        "request-1",
        "request-2",
    ]
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "requests": lines}
    with pytest.raises(openai.BadRequestError, match="Mutually exclusive parameters"):
        instance.client.post("/batches", cast_to=Batch, body=body | {"input_file_id": batch.input_file_id})
