"""Every batch ends correctly: cancel, expiry, admission, and killing every function."""

import json
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from infra.resources import functions
from nightlane.aws.table.batches import DynamoBatches
from nightlane.settings import Settings
from tests.e2e.conftest import Instance, RigInstance, running_rig
from tests.rig.provision import queue_urls
from tests.world import requests

FUNCTIONS = tuple(spec.name for spec in functions(Settings()))


def names_in(instance: Instance, *file_ids: str | None) -> Counter[str]:
    lines = [line for file_id in file_ids for line in instance.text(file_id).splitlines()]
    return Counter(json.loads(line)["custom_id"] for line in lines)


def each_once(count: int) -> Counter[str]:
    return Counter({f"request-{number}": 1 for number in range(count)})


def is_running(batch: Any) -> bool:
    return bool(batch.status == "in_progress" and batch.request_counts.completed)


def assert_nothing_is_left(instance: RigInstance) -> None:
    clients, settings = instance.rig.clients(), instance.rig.settings
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + 60
    while True:
        counts = {}
        for each in queue_urls(settings).values():
            attributes = clients.sqs.get_queue_attributes(QueueUrl=each, AttributeNames=names)
            counts[each] = sum(int(count) for count in attributes["Attributes"].values())
        if not any(counts.values()):
            break
        assert time.monotonic() < deadline, counts
        time.sleep(0.5)
    assert DynamoBatches(clients.dynamodb, settings.table_name).slots().running == {}


def test_a_running_batch_is_cancelled_within_seconds(instance: Instance) -> None:
    batch = instance.create(requests(1_000, mock={"latency": 0.2}))
    instance.wait(batch.id, is_running)
    began = time.monotonic()
    cancelling = instance.client.batches.cancel(batch.id)
    assert cancelling.status in ("cancelling", "cancelled")
    assert cancelling.cancelling_at is not None
    ended = instance.wait(batch.id, seconds=10)
    assert time.monotonic() - began < 10
    assert ended.status == "cancelled"
    assert ended.request_counts is not None
    output, errors = instance.text(ended.output_file_id), instance.text(ended.error_file_id)
    error_lines = [json.loads(line) for line in errors.splitlines()]
    assert ended.request_counts.completed == len(output.splitlines())
    assert ended.request_counts.completed + len(error_lines) == 1_000
    assert {line["error"]["code"] for line in error_lines} == {"batch_cancelled"}
    assert ended.request_counts.failed == 0
    assert names_in(instance, ended.output_file_id, ended.error_file_id) == each_once(1_000)
    assert instance.client.batches.cancel(batch.id).status == "cancelled"


def test_unfinished_lines_expire_at_the_end_of_the_window() -> None:
    with running_rig(completion_window_seconds=15) as instance:
        # On a busy machine, starting the functions would take most of the window.
        instance.wait(instance.create(requests(1)).id)
        slow = instance.create(requests(200, mock={"latency": 1.5}))
        # Its window ends a moment later, which must not be enough for it.
        waiting = instance.create(requests(3, mock={"latency": 10}))
        ended = instance.wait(slow.id)
        assert ended.status == "expired"
        assert ended.expired_at is not None
        assert ended.request_counts is not None
        counts = ended.request_counts
        assert 0 < counts.completed < 200
        assert (counts.total, counts.failed) == (200, 0)
        errors = [json.loads(line) for line in instance.text(ended.error_file_id).splitlines()]
        assert {line["error"]["code"] for line in errors} == {"batch_expired"}
        assert names_in(instance, ended.output_file_id, ended.error_file_id) == each_once(200)
        late = instance.wait(waiting.id)
        assert late.status == "expired"
        assert names_in(instance, late.error_file_id) == each_once(3)
        assert_nothing_is_left(instance)


def test_batches_run_one_after_the_other_and_an_invalid_one_fails_at_once() -> None:
    with running_rig() as instance:
        good = [instance.create(requests(30, mock={"latency": 0.2})) for _ in range(3)]
        bad = instance.create(b'{"custom_id": "a"}\n')
        failed = instance.wait(bad.id)
        assert failed.status == "failed"
        waiting = instance.wait_for_progress(good[2].id, lambda progress: progress["waits_for"] == "slot")
        assert (waiting["status"], waiting["lines"]["total"]) == ("in_progress", 30)
        ended = [instance.wait(batch.id) for batch in good]
        assert {batch.status for batch in ended} == {"completed"}
        completed = [batch.completed_at or 0 for batch in ended]
        assert completed == sorted(completed)
        assert instance.upstream.statistics()["max_in_flight"] == 10
        assert_nothing_is_left(instance)


def test_killing_every_function_in_turn_loses_nothing() -> None:
    with running_rig({"latency_mean": 0.1}) as instance:
        batch = instance.create(requests(2_000))
        rounds = 0
        while instance.client.with_options(max_retries=10).batches.retrieve(batch.id).status not in (
            "completed",
            "failed",
        ):
            for function in FUNCTIONS:
                for pid in instance.rig.pids(function):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(2)
            rounds += 1
            assert rounds < 8
        ended = instance.client.with_options(max_retries=10).batches.retrieve(batch.id)
        assert ended.status == "completed"
        assert ended.request_counts is not None
        assert (ended.request_counts.completed, ended.request_counts.failed) == (2_000, 0)
        assert names_in(instance, ended.output_file_id) == each_once(2_000)
        assert rounds > 1
        assert instance.upstream.statistics()["max_in_flight"] <= 10
        assert_nothing_is_left(instance)
