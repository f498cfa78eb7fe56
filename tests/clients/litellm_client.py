"""LiteLLM's SDK with a running server as its provider, in an environment that has LiteLLM and pytest."""

import asyncio
import io
import json
import os
import time
from typing import Any

import litellm
import pytest


def input_of(lines: int, **extra: Any) -> bytes:
    body = {"model": "mock-small", "messages": [{"role": "user", "content": "hi"}], **extra}
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    return b"".join(
        json.dumps({"custom_id": f"line-{number}", **line}).encode() + b"\n" for number in range(lines)
    )


DATA = input_of(5)
NEW_BATCH: Any = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture(params=["openai", "hosted_vllm"])
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {
        "custom_llm_provider": request.param,
        "api_base": os.environ["NIGHTLANE_URL"],
        "api_key": os.environ["NIGHTLANE_KEY"],
    }


def test_a_batch_from_upload_to_results(server: dict[str, Any]) -> None:
    file = litellm.create_file(file=("in.jsonl", io.BytesIO(DATA)), purpose="batch", **server)
    batch: Any = litellm.create_batch(
        input_file_id=file.id, metadata={"job": "nightly"}, **NEW_BATCH, **server
    )
    deadline = time.monotonic() + 60
    while batch.status not in ENDED:
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
        batch = litellm.retrieve_batch(batch.id, **server)
    assert (batch.status, batch.request_counts.completed) == ("completed", 5)
    assert batch.metadata == {"job": "nightly"}
    content: Any = litellm.file_content(batch.output_file_id, **server)
    ids = [json.loads(line)["custom_id"] for line in content.text.splitlines()]
    assert ids == [f"line-{number}" for number in range(5)]
    assert batch.id in [each.id for each in litellm.list_batches(**server).data]
    assert litellm.file_retrieve(file.id, **server).bytes == len(DATA)
    assert litellm.file_delete(file.id, **server).deleted


def test_the_asynchronous_functions_do_the_same(server: dict[str, Any]) -> None:
    async def run() -> None:
        slow = input_of(50, mock={"latency": 2})
        file = await litellm.acreate_file(file=("in.jsonl", slow), purpose="batch", **server)
        batch = await litellm.acreate_batch(input_file_id=file.id, **NEW_BATCH, **server)
        assert (await litellm.aretrieve_batch(batch.id, **server)).id == batch.id
        assert (await litellm.acancel_batch(batch.id, **server)).status in ("cancelling", "cancelled")

    asyncio.run(run())


def test_errors_keep_their_status(server: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="No such File object") as missing:
        litellm.file_retrieve("file-missing", **server)
    assert getattr(missing.value, "status_code", None) == 404
