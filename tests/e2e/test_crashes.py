"""A worker is killed in the middle of a batch."""

import json
import os
import signal
from collections import Counter

from tests.e2e.conftest import running_rig
from tests.world import requests


def test_a_killed_worker_repeats_at_most_one_checkpoint() -> None:
    with running_rig({"latency_mean": 0.05}, requests_in_flight_per_worker=5) as instance:
        batch = instance.create(requests(600))
        running = instance.wait(
            batch.id, lambda each: (each.request_counts.completed if each.request_counts else 0) >= 150
        )
        assert running.status == "in_progress"
        before = instance.rig.pids("infer")
        committed = running.request_counts.completed if running.request_counts else 0
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        ended = instance.wait(batch.id)
        assert ended.status == "completed"
        assert ended.request_counts is not None
        assert ended.request_counts.completed == 600
        names = Counter(
            json.loads(line)["custom_id"] for line in instance.text(ended.output_file_id).splitlines()
        )
        assert names == Counter({f"request-{number}": 1 for number in range(600)})
        statistics = instance.upstream.statistics()
        assert statistics["max_in_flight"] <= 10
        # Lines committed before the worker was killed are not run again.
        assert statistics["repeated"] <= 600 - committed
        # 10 in flight at 50 ms: 200 requests in a checkpoint interval of one second, plus those in flight.
        assert statistics["repeated"] <= 230
