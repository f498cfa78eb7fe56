"""Running instances of Nightlane, on one machine and on the rig, with the official client."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import openai
import pytest
from openai.types import Batch

from infra.cli.mock.process import MockUpstream
from nightlane.settings import Settings
from tests.rig.accesses import TEAM_BUCKET
from tests.rig.rig import RIG_DEFAULTS, Rig
from tests.upstream import only

KEYS = {"acme": "sk-acme-0123456789abcdef", "other": "sk-other-0123456789abcdef"}
NIGHTLANE = [sys.executable, "-m", "infra.cli.app"]
LOCAL = [*NIGHTLANE, "local", "--port", "0"]
ACME = KEYS["acme"]
TEAM_LOCATIONS = {
    "s3_inputs": f'["s3://{TEAM_BUCKET}/in/"]',
    "s3_outputs": f'["s3://{TEAM_BUCKET}/out/"]',
}
ENDED = {"completed", "failed", "expired", "cancelled"}


@dataclass
class Instance:
    """A running Nightlane, its mock model and a client of the tenant acme."""

    redirects_content: ClassVar[bool] = True
    """Whether content that is large or not text is downloaded from S3."""

    base_url: str
    keys: Mapping[str, str]
    """Tenant → API key."""
    upstream: MockUpstream
    client: openai.OpenAI

    def client_of(self, tenant: str, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base_url, api_key=self.keys[tenant], **options)

    def create(self, data: bytes, **options: Any) -> Batch:
        file = self.client.files.create(file=data, purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **options
        )

    def wait(self, batch_id: str, until: Callable[[Batch], bool] | None = None, seconds: float = 60) -> Batch:
        """Poll until the batch has ended or the condition holds."""
        deadline = time.monotonic() + seconds
        while True:
            batch = self.client.batches.retrieve(batch_id)
            if batch.status in ENDED or (until is not None and until(batch)):
                return batch
            assert time.monotonic() < deadline, batch
            time.sleep(0.1)

    def wait_for_progress(
        self, batch_id: str, until: Callable[[Any], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """Poll the progress of a batch until the condition holds."""
        deadline = time.monotonic() + seconds
        while True:
            progress: Any = self.client.get(f"/batches/{batch_id}/progress", cast_to=object)
            if until(progress):
                return dict(progress)
            assert time.monotonic() < deadline, progress
            time.sleep(0.1)

    def text(self, file_id: str | None) -> str:
        return self.client.files.content(file_id).text if file_id else ""


class HomeInstance(Instance):
    """A `nightlane local` server."""

    redirects_content = False


@dataclass
class RigInstance(Instance):
    """A Nightlane on the rig."""

    rig: Rig


@contextlib.contextmanager
def running_rig(
    mock: dict[str, Any] | None = None, auth: dict[str, Any] | None = None, **settings: Any
) -> Iterator[RigInstance]:
    """Start a rig with these settings over its defaults; `auth` is that of its upstream."""
    with MockUpstream(**(mock or {})) as upstream:
        values = Settings(**{**RIG_DEFAULTS, "upstreams": only(upstream.url, auth=auth), **settings})
        with (
            Rig(values, {key: tenant for tenant, key in KEYS.items()}, tick_seconds=1) as rig,
            openai.OpenAI(base_url=rig.base_url, api_key=ACME) as client,
        ):
            yield RigInstance(rig.base_url, KEYS, upstream, client, rig)


@contextlib.contextmanager
def running_home(mock: dict[str, Any] | None = None, **settings: Any) -> Iterator[HomeInstance]:
    """Start `nightlane local` with these settings."""
    keys = [f"--api-key={tenant}={key}" for tenant, key in KEYS.items()]
    given = [f"--set={name}={value}" for name, value in settings.items()]
    with MockUpstream(**(mock or {})) as upstream:
        command = [*LOCAL, "--data", ":memory:", "--upstream", upstream.url, *keys, *given]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            base_url = process.stdout.readline().removeprefix("ready ").strip()
            try:
                with openai.OpenAI(base_url=base_url, api_key=ACME) as client:
                    yield HomeInstance(base_url, KEYS, upstream, client)
            finally:
                process.terminate()


ON_HOME_AND_RIG = pytest.mark.parametrize("start", [running_home, running_rig], ids=["home", "rig"])


@pytest.fixture(scope="session", params=[running_home, running_rig], ids=["home", "rig"])
def instance(request: pytest.FixtureRequest) -> Iterator[Instance]:
    """The instance that most tests share; each of them runs on one machine and on the rig."""
    settings: dict[str, Any] = {"webhook_allow_private_addresses": True, **TEAM_LOCATIONS}
    with request.param(max_concurrent_batches=4, **settings) as made:
        yield made
