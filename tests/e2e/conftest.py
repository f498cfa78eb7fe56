"""A Nightlane on this machine, and the official client pointed at it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai.types import Batch

from infra.local.home import LOCAL_DEFAULTS, LocalHome
from infra.local.mock_process import MockUpstream
from nightlane.settings import Settings

KEYS = {"sk-acme-0123456789abcdef": "acme", "sk-other-0123456789abcdef": "other"}
ACME, OTHER = KEYS
ENDED = {"completed", "failed", "expired", "cancelled"}


@dataclass
class Place:
    """A home, its mock model and a client of tenant acme."""

    home: LocalHome
    upstream: MockUpstream
    client: openai.OpenAI

    def client_of(self, key: str, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.home.base_url, api_key=key, **options)

    def create(self, data: bytes, **options: Any) -> Batch:
        file = self.client.files.create(file=data, purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **options
        )

    def wait(self, batch_id: str, until: Callable[[Batch], bool] | None = None, seconds: float = 60) -> Batch:
        """Poll until the batch has ended, or is as asked."""
        deadline = time.monotonic() + seconds
        while True:
            batch = self.client.batches.retrieve(batch_id)
            if batch.status in ENDED or (until is not None and until(batch)):
                return batch
            assert time.monotonic() < deadline, batch
            time.sleep(0.1)

    def text(self, file_id: str | None) -> str:
        return self.client.files.content(file_id).text if file_id else ""


@contextlib.contextmanager
def living(mock: dict[str, float] | None = None, **settings: Any) -> Iterator[Place]:
    """Start a home with these settings over the local defaults."""
    with MockUpstream(**(mock or {})) as upstream:
        values = Settings(**{**LOCAL_DEFAULTS, "upstream_url": upstream.url, **settings})
        with (
            LocalHome(values, KEYS, tick_seconds=1) as home,
            openai.OpenAI(base_url=home.base_url, api_key=ACME) as client,
        ):
            yield Place(home, upstream, client)


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """The home that most tests share."""
    with living(max_concurrent_batches=4) as made:
        yield made
