"""`cdk bootstrap` and `cdk deploy` of the real app into the emulator, and a client for the deployed URL."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest

from infra.cli.mock.process import MockUpstream
from tests.clients.environments import node_modules_with
from tests.clients.test_official_clients import NODE
from tests.e2e.conftest import Instance
from tests.rehearsal.emulator import ACCOUNT, BUILD, REGION, Emulator, running

BIN = Path(sys.prefix) / "bin"
CDK = BUILD / "cdk" / "node_modules" / ".bin" / "cdk"
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


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command with the venv's node and python first in PATH, and return its output."""
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "CDK_DISABLE_CLI_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


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
def instance(
    aws: Emulator, second: MockUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    """The deployed stack, with a key for each of two tenants."""
    with MockUpstream(api_key=UPSTREAM_KEY) as upstream:
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
        outputs = deploy(upstreams, tmp_path_factory.mktemp("outputs"))
        api = outputs["ApiUrl"].removeprefix("https://").split(".")[0]
        base_url = f"{aws.endpoint_url}/_aws/execute-api/{api}/v1"
        keys = {tenant: create_key(tenant) for tenant in ("acme", "other")}
        with openai.OpenAI(base_url=base_url, api_key=keys["acme"]) as client:
            yield Instance(base_url, keys, upstream, client)


def deploy(upstreams: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Bootstrap the account and deploy; returns the stack's outputs."""
    run(CDK, "bootstrap", f"aws://{ACCOUNT}/{REGION}", cwd=folder)
    context = CONTEXT | {"upstreams": upstreams}
    outputs = folder / "outputs.json"
    run(
        *(CDK, "deploy", "--require-approval", "never", "--output", folder / "cdk.out"),
        *("-c", f"nightlane={json.dumps(context)}", "-c", "wheels=host", "--outputs-file", outputs),
    )
    known: dict[str, dict[str, str]] = json.loads(outputs.read_text())
    return known[STACK]


def create_key(tenant: str) -> str:
    return run(BIN / "nightlane", "keys", "create", "--tenant", tenant, "--stack", STACK).strip()
