"""LiteLLM on both sides of Nightlane: as SDK, as a proxy in front, and as the endpoint behind.

One proxy does the latter two: client, LiteLLM, Nightlane, LiteLLM, model.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
import urllib3
from openai.types import Batch

from infra.cli.mock.process import MockUpstream
from tests.clients.environments import python_with
from tests.clients.suites import run_python
from tests.e2e.conftest import running_home
from tests.e2e.homes import KEY, Server, running
from tests.world import requests

pytestmark = pytest.mark.xdist_group("litellm")
# Without prisma, its proxy fails when it handles an error of a batch.
REQUIREMENTS = ("litellm[proxy]==1.108.7", "prisma==0.15.0", "pytest==9.1.1")
PROXY_KEY = "sk-proxy"
VIA: Any = {"custom_llm_provider": "openai"}
# Importing LiteLLM takes long, and the first time Python compiles it.
START_SECONDS = 150


@dataclass
class Chain:
    """A home whose endpoint is LiteLLM, and a client of the same LiteLLM, which has the home as provider."""

    home: Server
    model: MockUpstream
    through_proxy: openai.OpenAI


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder, port = tmp_path_factory.mktemp("litellm"), free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with (
        MockUpstream(latency_mean=0.01) as model,
        running(folder / "data", url, "--upstream-key", PROXY_KEY) as home,
        proxy(folder, port, model.url, str(home.client.base_url).rstrip("/")),
        openai.OpenAI(base_url=url, api_key=PROXY_KEY, max_retries=0) as client,
    ):
        yield Chain(home, model, client)


@contextlib.contextmanager
def proxy(folder: Path, port: int, model_url: str, nightlane_url: str) -> Iterator[None]:
    names = ("mock-small", "mock-embedding")
    # Another provider than Nightlane's, whose credentials LiteLLM would take for batches as well.
    model = {"api_base": model_url, "api_key": "sk-model"}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"hosted_vllm/{name}", **model}}
            for name in names
        ],
        "files_settings": [{**VIA, "api_base": nightlane_url, "api_key": KEY}],
        "general_settings": {"master_key": PROXY_KEY},
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(config))
    binary = python_with(*REQUIREMENTS).parent / "litellm"
    # For batches, it has no settings of its own and takes these.
    environment = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_API_BASE": nightlane_url,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command: list[str | Path] = [
        binary,
        "--config",
        file,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--telemetry",
        "False",
    ]
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health/liveliness", process)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", url, retries=False, timeout=5).status == 200:
                return
        time.sleep(0.2)
    raise AssertionError("LiteLLM did not start: see proxy.log")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def test_litellms_sdk_has_nightlane_as_provider() -> None:
    with running_home({"latency_mean": 0.01}) as home:
        run_python(python_with(*REQUIREMENTS), "litellm_client.py", home)


def test_a_batch_goes_through_litellm_to_nightlane_and_through_litellm_to_the_model(chain: Chain) -> None:
    client = chain.through_proxy
    before = chain.model.statistics()["requests"]
    file = client.files.create(file=("in.jsonl", requests(20)), purpose="batch", extra_body=VIA)
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"job": "nightly"},
        extra_body=VIA,
    )
    assert batch.metadata == {"job": "nightly"}
    assert chain.home.wait(batch.id).status == "completed"
    ended: Batch = client.batches.retrieve(batch.id)
    assert ended.request_counts is not None
    assert (ended.request_counts.total, ended.request_counts.completed) == (20, 20)
    results = [json.loads(each) for each in client.files.content(str(ended.output_file_id)).text.splitlines()]
    assert [each["custom_id"] for each in results] == [f"request-{number}" for number in range(20)]
    assert all(each["response"]["body"]["object"] == "chat.completion" for each in results)
    assert chain.model.statistics()["requests"] - before == 20
    assert batch.id in [each.id for each in client.batches.list(extra_query=VIA)]
    assert client.files.delete(file.id).deleted


def test_a_running_batch_is_cancelled_through_litellm(chain: Chain) -> None:
    client = chain.through_proxy
    slow = requests(50, mock={"latency": 2})
    file = client.files.create(file=("in.jsonl", slow), purpose="batch", extra_body=VIA)
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", extra_body=VIA
    )
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    assert chain.home.wait(batch.id).status == "cancelled"


def test_errors_of_nightlane_keep_their_class_through_litellm(chain: Chain) -> None:
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        chain.through_proxy.files.retrieve("file-missing")
    with pytest.raises(openai.NotFoundError, match="No batch found"):
        chain.through_proxy.batches.retrieve("batch_missing")


def test_litellms_models_are_nightlanes(chain: Chain) -> None:
    assert {model.id for model in chain.home.client.models.list()} == {"mock-small", "mock-embedding"}


def test_a_model_that_litellm_does_not_have_ends_as_an_error_line(chain: Chain) -> None:
    batch = chain.home.wait(chain.home.create(requests(2, model="nonsense")))
    assert (batch.status, batch.output_file_id) == ("completed", None)
    errors = chain.home.client.files.content(str(batch.error_file_id)).text.splitlines()
    assert len(errors) == 2
    for line in errors:
        response = json.loads(line)["response"]
        assert response["status_code"] == 400
        assert "Invalid model name" in response["body"]["error"]["message"]
