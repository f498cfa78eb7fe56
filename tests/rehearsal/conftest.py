"""`nightlane deploy` of the real app into the emulator, and a client for the deployed URL."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from typer.testing import CliRunner

from infra.cli.app import app
from infra.cli.mock.process import MockUpstream
from tests.clients.environments import node_modules_with
from tests.clients.test_official_clients import NODE
from tests.e2e.conftest import Instance
from tests.rehearsal.emulator import Emulator, running

BIN = Path(sys.prefix) / "bin"
STACK = "Rehearsal"
SECRET = "rehearsal/upstream"
UPSTREAM_KEY = "sk-upstream-of-the-rehearsal"
SECOND_LIMIT = 2
# One slot, so that batches queue behind it. The other settings have their defaults, except for intervals that
# would only make the tests wait.
CONTEXT = {
    "stack_name": STACK,
    "deletion_protection": False,
    "max_concurrent_batches": 1,
    "checkpoint_seconds": 1,
    "watch_seconds": 1,
    "webhook_allow_private_addresses": True,
}


@dataclass(frozen=True)
class Deployed:
    """The stack that `nightlane deploy` made, as the other commands find it, and what the command printed."""

    options: tuple[str, ...]
    """The file with its configuration, and how its URL is reached in the emulator."""
    printed: str
    status: dict[str, Any]


def run(*arguments: str) -> str:
    """Run the installed command, which succeeds, and return its output."""
    done = subprocess.run([BIN / "nightlane", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def nightlane(*arguments: str) -> str:
    """The same in this process, which saves the seconds that its imports take."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"{arguments}\n{result.output}"
    return result.stdout


@pytest.fixture(scope="session")
def node_client() -> Path:
    """The newest Node client, installed before the environment trusts the emulator's certificate alone."""
    return node_modules_with(f"openai@{NODE[-1]}")


@pytest.fixture(scope="session")
def aws(node_client: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An empty account."""
    with running(tmp_path_factory.mktemp("aws")) as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment().items():
            patch.setenv(name, value)
        yield emulator


@pytest.fixture(scope="session")
def second() -> Iterator[MockUpstream]:
    """The upstream of the model `rehearsal-fast`."""
    with MockUpstream(latency_mean=0.05) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[MockUpstream]:
    """The upstream of all other models, which needs a key."""
    with MockUpstream(api_key=UPSTREAM_KEY) as running_upstream:
        yield running_upstream


@pytest.fixture(scope="session")
def deployed(
    aws: Emulator, upstream: MockUpstream, second: MockUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    """The deployed stack."""
    secrets: Any = boto3.client("secretsmanager")
    secrets.create_secret(Name=SECRET, SecretString=UPSTREAM_KEY)
    upstreams: list[dict[str, Any]] = [
        {
            "name": "second",
            "url": second.url,
            "models": ["rehearsal-*"],
            "rewrite": {"rehearsal-fast": "mock-small"},
            "max_concurrent_requests": SECOND_LIMIT,
        },
        {"url": upstream.url, "auth": {"secret": SECRET}},
    ]
    config = tmp_path_factory.mktemp("config") / "cdk.json"
    # The functions run on this machine's Python.
    context = {"nightlane": CONTEXT | {"upstreams": upstreams}, "wheels": "host"}
    config.write_text(json.dumps({"context": context}))
    options = ("--config", str(config), "--base-url", f"{aws.endpoint_url}/_aws/execute-api/{{api}}/v1")
    printed = run("deploy", "--yes", "--patience", "300", *options)
    return Deployed(options, printed, json.loads(nightlane("status", "--json", *options)))


@pytest.fixture(scope="session")
def instance(deployed: Deployed, upstream: MockUpstream, second: MockUpstream) -> Iterator[Instance]:
    """The deployed stack, with a key for each of two tenants."""
    second.reset()
    keys = {tenant: create_key(tenant) for tenant in ("acme", "other")}
    with openai.OpenAI(base_url=deployed.status["base_url"], api_key=keys["acme"]) as client:
        yield Instance(deployed.status["base_url"], keys, upstream, client)


def create_key(tenant: str) -> str:
    return nightlane("keys", "create", "--tenant", tenant, "--stack", STACK).strip()
