"""kill -9 of server and worker every two seconds: the batch completes, and no result is lost."""

import os
import signal
import time
from pathlib import Path

import pytest

from infra.cli.mock.process import MockUpstream
from tests.e2e.conftest import ENDED
from tests.e2e.homes import running, worker_of
from tests.world import requests

# .ci/extra runs 5,000 lines of 60 ms, which take more than twenty kills.
LINES = int(os.environ.get("TEST_KILLS_LINES", "2500"))
LATENCY = float(os.environ.get("TEST_KILLS_LATENCY", "0.02"))
LIMIT = 10
LIFE_SECONDS = 2.0
# Requests sent in the second between two checkpoints, and while one is written.
MAX_REPEATS_PER_KILL = LIMIT + int(LIMIT / LATENCY * 1.5)


def wait_for_requests(upstream: MockUpstream) -> None:
    """Wait until the upstream gets another request, or has already got all of them."""
    before = upstream.statistics()
    while before["bodies"] < LINES and upstream.statistics()["requests"] == before["requests"]:
        time.sleep(0.02)


@pytest.mark.timeout(1_800)
def test_a_batch_completes_although_all_processes_are_killed_every_two_seconds(tmp_path: Path) -> None:
    with MockUpstream() as fast, running(tmp_path, fast.url) as server:
        yesterday = server.wait(server.create(requests(3)))
        results = server.client.files.content(str(yesterday.output_file_id)).text
    with MockUpstream(latency_mean=LATENCY) as upstream:
        batch_id, kills, batch = "", 0, None
        while batch is None or batch.status not in ENDED:
            with running(tmp_path, upstream.url) as server:
                batch_id = batch_id or server.create(requests(LINES))
                worker = worker_of(server)
                wait_for_requests(upstream)
                batch = server.wait(batch_id, LIFE_SECONDS)
                os.kill(worker, signal.SIGKILL)
                kills += 1
        statistics = upstream.statistics()
    assert (batch.status, batch.request_counts and batch.request_counts.completed) == ("completed", LINES)
    assert kills >= 3
    assert statistics["bodies"] == LINES
    assert statistics["repeated"] <= kills * MAX_REPEATS_PER_KILL
    assert statistics["max_in_flight"] <= LIMIT
    with MockUpstream() as fast, running(tmp_path, fast.url) as server:
        again = server.client.batches.retrieve(batch_id)
        assert server.output_ids(again) == [f"request-{number}" for number in range(LINES)]
        assert [each.id for each in server.client.batches.list()] == [batch_id, yesterday.id]
        assert server.client.files.content(str(yesterday.output_file_id)).text == results
