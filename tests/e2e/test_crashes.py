"""kill -9 of a worker in the middle of a batch."""

import json
import os
import signal
from collections import Counter

from tests.e2e.conftest import living
from tests.world import requests


def test_a_killed_worker_repeats_one_checkpoint_at_most() -> None:
    with living({"latency_mean": 0.05}, requests_in_flight_per_worker=5) as place:
        batch = place.create(requests(600))
        running = place.wait(
            batch.id, lambda each: (each.request_counts.completed if each.request_counts else 0) >= 150
        )
        assert running.status == "in_progress"
        before = place.rig.pids("infer")
        committed = running.request_counts.completed if running.request_counts else 0
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        ended = place.wait(batch.id)
        assert ended.status == "completed"
        assert ended.request_counts is not None
        assert ended.request_counts.completed == 600
        names = Counter(
            json.loads(line)["custom_id"] for line in place.text(ended.output_file_id).splitlines()
        )
        assert names == Counter({f"request-{number}": 1 for number in range(600)})
        statistics = place.upstream.statistics()
        assert statistics["max_in_flight"] <= 10
        # What was committed when the worker died was not asked for again.
        assert statistics["repeated"] <= 600 - committed
        # 10 in flight at 50 ms: a checkpoint interval of a second holds 200 requests, and those in flight.
        assert statistics["repeated"] <= 230
