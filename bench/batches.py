"""Batches for the benchmarks, run through the rig."""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import openai

from infra.cli.mock.process import MockUpstream
from nightlane.settings import Settings
from tests.rig.ledger import FunctionUse
from tests.rig.rig import RIG_DEFAULTS, Rig

Endpoint = Literal["/v1/chat/completions", "/v1/embeddings"]
KEY = "bench"
POLL_SECONDS = 1.0


def bodies(count: int, size: int = 0) -> Iterator[bytes]:
    """Chat requests of at least `size` bytes each."""
    for number in range(count):
        question = f"Question {number}?"
        text = question + " " + "x" * max(0, size - len(question) - 120)
        messages = [{"role": "user", "content": text}]
        yield json.dumps({"model": "mock-small", "messages": messages}).encode()


def input_file(count: int, size: int = 0) -> bytes:
    """The same requests as a batch input file."""
    return batch_of("/v1/chat/completions", bodies(count, size))


def batch_of(url: Endpoint, requests: Iterable[bytes]) -> bytes:
    """A batch input file of these bodies."""
    line = b'{"custom_id":"request-%d","method":"POST","url":"%b","body":%b}\n'
    return b"".join(line % (number, url.encode(), body) for number, body in enumerate(requests))


@contextlib.contextmanager
def rig(upstream_url: str, tick_seconds: float | None = None, **settings: Any) -> Iterator[Rig]:
    """A rig in front of an endpoint; the sweeper runs every minute, or `tick_seconds`."""
    values = Settings(**{**RIG_DEFAULTS, "upstream_url": upstream_url, **settings})
    with Rig(values, {KEY: "bench"}, tick_seconds=tick_seconds) as started:
        yield started


def used_by(data: bytes) -> dict[str, FunctionUse]:
    """What each function used for one batch, in processes that ran nothing else."""
    with MockUpstream() as upstream, rig(upstream.url, max_concurrent_requests_per_batch=20) as place:
        run_batch(place, data)
        used = place.ledger.functions
        # The batch ends a moment before the function that ended it.
        while not used["assemble"].milliseconds:
            time.sleep(0.05)
        return used


class Served(Protocol):
    """A Nightlane that takes requests."""

    base_url: str


def run_batch(
    place: Served, data: bytes | Path, endpoint: Endpoint = "/v1/chat/completions"
) -> openai.types.Batch:
    """Run a batch to its end; every line must be completed."""
    with openai.OpenAI(base_url=place.base_url, api_key=KEY, timeout=300) as client:
        file = client.files.create(file=data, purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
        while batch.status not in ("completed", "failed", "expired", "cancelled"):
            time.sleep(POLL_SECONDS)
            batch = client.batches.retrieve(batch.id)
    counts = batch.request_counts
    if batch.status != "completed" or counts is None or counts.completed != counts.total:
        raise AssertionError(f"the batch did not complete: {batch}")
    return batch
