"""Three batches at once on two upstreams: each upstream's limit holds over all of them, and is used."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.cli.mock.process import MockUpstream
from tests.e2e.homes import Server, worker_of
from tests.world import requests

LIMITS = {"mock-small": 3, "mock-large": 7}
LATENCY = 0.1


@pytest.fixture
def upstreams() -> Iterator[dict[str, MockUpstream]]:
    with MockUpstream(latency_mean=LATENCY) as small, MockUpstream(latency_mean=LATENCY) as large:
        yield {"mock-small": small, "mock-large": large}


@contextmanager
def home(folder: Path, upstreams: dict[str, MockUpstream]) -> Iterator[Server]:
    """A home that gives each model an upstream with a limit, and runs three batches at once."""
    described = [
        {"name": model, "url": upstream.url, "models": [model], "max_concurrent_requests": LIMITS[model]}
        for model, upstream in upstreams.items()
    ]
    config = folder / "config.json"
    config.write_text(json.dumps({"upstreams": described, "max_concurrent_batches": 3}))
    server = Server(folder / "data", None, "--config", str(config))
    try:
        yield server
    finally:
        server.kill()


def create_three(server: Server, lines: int) -> list[str]:
    """Create batches of lines for both models in proportion to their limits; no two bodies are the same."""
    batches = []
    for mark in "abc":
        each = requests(lines, user=mark).splitlines(keepends=True)
        data = [
            line if number % 10 < 3 else line.replace(b"mock-small", b"mock-large")
            for number, line in enumerate(each)
        ]
        batches.append(server.create(b"".join(data)))
    return batches


def check_completed(server: Server, batches: list[str], lines: int) -> None:
    for batch_id in batches:
        batch = server.wait(batch_id)
        assert batch.status == "completed"
        assert server.output_ids(batch) == [f"request-{number}" for number in range(lines)]


def test_the_limits_of_two_upstreams_hold_for_three_batches_and_are_used(
    tmp_path: Path, upstreams: dict[str, MockUpstream]
) -> None:
    with home(tmp_path, upstreams) as server:
        batches = create_three(server, 500)
        for batch_id in batches:
            server.wait_for(batch_id, lambda counts: counts.completed > 0)
        before = {model: each.statistics() for model, each in upstreams.items()}
        server.wait_for(batches[0], lambda counts: counts.completed >= 400)
        during = {model: each.statistics() for model, each in upstreams.items()}
        check_completed(server, batches, 500)
    for model, limit in LIMITS.items():
        assert upstreams[model].statistics()["max_in_flight"] == limit
        busy = [each[model]["mean_in_flight"] * each[model]["elapsed"] for each in (before, during)]
        elapsed = during[model]["elapsed"] - before[model]["elapsed"]
        assert (busy[1] - busy[0]) / elapsed >= 0.9 * limit
    assert sum(each.statistics()["repeated"] for each in upstreams.values()) == 0


def test_the_limits_hold_although_the_worker_is_killed(
    tmp_path: Path, upstreams: dict[str, MockUpstream]
) -> None:
    with home(tmp_path, upstreams) as server:
        batches = create_three(server, 200)
        server.wait_for(batches[0], lambda counts: counts.completed >= 20)
        os.kill(worker_of(server), signal.SIGKILL)
        server.wait_for(batches[0], lambda counts: counts.completed >= 80)
        os.kill(worker_of(server), signal.SIGKILL)
        check_completed(server, batches, 200)
    for model, limit in LIMITS.items():
        assert upstreams[model].statistics()["max_in_flight"] == limit
