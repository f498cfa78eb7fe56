"""Batches for the benchmarks, run on the rig."""

import contextlib
import json
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import openai

from infra.cli.mock.process import MockUpstream
from nightlane.settings import Settings
from tests.rig.ledger import FunctionUse
from tests.rig.rig import RIG_DEFAULTS, Rig
from tests.upstream import only

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


def shuffled_bodies(count: int, prompts: int, prompt_bytes: int) -> Iterator[bytes]:
    """Chat requests with this many system prompts in random order."""
    chance = random.Random(0)
    for number in range(count):
        prompt = f"You are assistant {chance.randrange(prompts)}. ".ljust(prompt_bytes, "x")
        messages = [
            {"role": "system", "content": prompt},
            {"role": "user", "content": f"Question {number}?"},
        ]
        yield json.dumps({"model": "mock-small", "messages": messages}).encode()


def input_file(count: int, size: int = 0) -> bytes:
    """A batch input file of such chat requests."""
    return batch_of("/v1/chat/completions", bodies(count, size))


def batch_of(url: Endpoint, requests: Iterable[bytes]) -> bytes:
    """A batch input file with these request bodies."""
    line = b'{"custom_id":"request-%d","method":"POST","url":"%b","body":%b}\n'
    return b"".join(line % (number, url.encode(), body) for number, body in enumerate(requests))


@contextlib.contextmanager
def start_rig(upstream_url: str, tick_seconds: float | None = None, **settings: Any) -> Iterator[Rig]:
    """A rig in front of this endpoint; the sweeper runs every `tick_seconds`, by default every minute."""
    values = Settings(**{**RIG_DEFAULTS, "upstreams": only(upstream_url), **settings})
    with Rig(values, {KEY: "bench"}, tick_seconds=tick_seconds) as rig:
        yield rig


def measure_functions(data: bytes) -> dict[str, FunctionUse]:
    """What each function used for one batch, in processes that run nothing else."""
    with MockUpstream() as upstream, start_rig(upstream.url, max_concurrent_requests_per_batch=20) as rig:
        run_batch(rig, data)
        used = rig.ledger.functions
        # The batch ends shortly before the invocation of assemble that ends it.
        while not used["assemble"].milliseconds:
            time.sleep(0.05)
        return used


class Served(Protocol):
    """A running batch server."""

    base_url: str


def run_batch(
    server: Served,
    data: bytes | Path,
    endpoint: Endpoint = "/v1/chat/completions",
    poll_seconds: float = POLL_SECONDS,
) -> openai.types.Batch:
    """Run a batch to its end. Raises AssertionError unless every line is completed."""
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, timeout=300) as client:
        file = client.files.create(file=data, purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
        while batch.status not in ("completed", "failed", "expired", "cancelled"):
            time.sleep(poll_seconds)
            batch = client.batches.retrieve(batch.id)
    counts = batch.request_counts
    if batch.status != "completed" or counts is None or counts.completed != counts.total:
        raise AssertionError(f"the batch did not complete: {batch}")
    return batch
