"""Every metric in the situation it is for, without counting anything twice."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.domain.metrics import Metric, unit_of
from nightlane.domain.shard import Checkpoint, Shard
from nightlane.observability import EmbeddedMetrics
from nightlane.settings import Settings
from tests.e2e.conftest import running_rig
from tests.rig.events import sqs_event
from tests.rig.ledger import Point, points_of
from tests.rig.runtime import HandlerOutput
from tests.upstream import ONLY, Body, Upstream, only, question, refusal, serving
from tests.world import ENDPOINT, World, moto_world, requests


@dataclass
class Story:
    """A world, and what its handlers have printed so far."""

    world: World
    upstream: Upstream
    capture: pytest.CaptureFixture[str]
    printed: list[str] = field(default_factory=list)

    def points(self, metric: Metric) -> list[Point]:
        self.printed += self.capture.readouterr().out.splitlines()
        return [point for line in self.printed for point in points_of(line) if point.metric is metric]

    def values(self, metric: Metric) -> list[float]:
        return [value for point in self.points(metric) for value in point.values]

    def total(self, metric: Metric) -> float:
        return sum(self.values(metric))

    def count(self, *metrics: Metric) -> dict[Metric, float]:
        return {metric: self.total(metric) for metric in metrics}

    def by_kind(self, metric: Metric) -> dict[str | None, float]:
        """Return the sum in total, under None, and of each kind."""
        sums: defaultdict[str | None, float] = defaultdict(float)
        for point in self.points(metric):
            sums[point.dimensions.get("kind")] += sum(point.values)
        return dict(sums)


@pytest.fixture
def story(capsys: pytest.CaptureFixture[str]) -> Iterator[Story]:
    with serving(Upstream()) as upstream:
        settings = Settings(upstreams=only(upstream.url), shard_max_lines=4, worker_lease_seconds=5)
        with moto_world(settings) as world:
            yield Story(world, upstream, capsys)


def create(story: Story, data: bytes, **more: Any) -> str:
    body = {"input_file_id": story.world.upload(data), "endpoint": ENDPOINT, "completion_window": "24h"}
    status, batch = story.world.call("POST", "/batches", json.dumps(body | more).encode())
    assert status == 200
    return str(batch["id"])


def test_a_batch_that_completes_counts_its_lines_tokens_and_times_once(story: Story) -> None:
    story.upstream.script = lambda body, _seen: refusal(400) if "Question 3?" in question(body) else None
    story.upstream.delay_seconds = 0.05
    create(story, requests(10))
    story.world.run()
    assert story.count(
        Metric.BATCHES_CREATED,
        Metric.BATCHES_COMPLETED,
        Metric.LINES_COMPLETED,
        Metric.LINES_FAILED,
        Metric.PROMPT_TOKENS,
        Metric.COMPLETION_TOKENS,
    ) == {
        Metric.BATCHES_CREATED: 1,
        Metric.BATCHES_COMPLETED: 1,
        Metric.LINES_COMPLETED: 9,
        Metric.LINES_FAILED: 1,
        Metric.PROMPT_TOKENS: 27,
        Metric.COMPLETION_TOKENS: 18,
    }
    assert story.points(Metric.BATCHES_FAILED) == []
    assert sorted(story.values(Metric.LINES_FAILED_SHARE)) == [0, 0, 25]
    assert len(story.values(Metric.CHECKPOINT_TIME)) == 3
    assert min(story.values(Metric.CHECKPOINT_TIME)) > 0
    latencies = story.values(Metric.UPSTREAM_LATENCY)
    assert len(latencies) == 10
    assert min(latencies) >= 50
    assert max(latencies) < 5_000
    (admission,) = story.values(Metric.ADMISSION_WAIT)
    assert 0 <= admission < 10_000


def test_metrics_have_a_unit_and_the_service_and_queue_waits_the_function(story: Story) -> None:
    create(story, requests(2))
    story.world.run()
    waits = story.points(Metric.QUEUE_WAIT)
    assert [point.dimensions for point in waits] == [
        {"service": "nightlane", "function": name} for name in ("plan", "infer", "assemble", "notify")
    ]
    assert story.points(Metric.LINES_COMPLETED)[0].dimensions == {"service": "nightlane"}
    for document in map(json.loads, story.printed):
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Nightlane"
        for definition in directive["Metrics"]:
            assert definition["Unit"] == unit_of(Metric(definition["Name"]))
    assert unit_of(Metric.QUEUE_WAIT) == "Milliseconds"
    assert unit_of(Metric.LINES_FAILED_SHARE) == "Percent"


def test_queue_wait_is_measured_only_on_the_first_delivery(story: Story) -> None:
    create(story, requests(1))
    message = story.world.receive("plan")
    assert message is not None
    story.world.pass_time(30)
    story.world.invoke("plan", sqs_event("plan", message))
    (wait,) = story.values(Metric.QUEUE_WAIT)
    assert 30_000 <= wait < 60_000
    message["Attributes"]["ApproximateReceiveCount"] = "2"
    story.world.invoke("plan", sqs_event("plan", message))
    assert story.values(Metric.QUEUE_WAIT) == [wait]


def test_a_repeated_create_counts_once(story: Story) -> None:
    file_id = story.world.upload(requests(1))
    body = {"input_file_id": file_id, "endpoint": ENDPOINT, "completion_window": "24h"}
    for _ in range(3):
        story.world.call("POST", "/batches", json.dumps(body | {"idem_tok": "once"}).encode())
    assert story.total(Metric.BATCHES_CREATED) == 1


def test_a_batch_that_fails_validation_counts_once_even_if_planned_twice(story: Story) -> None:
    create(story, b"no json\n")
    message = story.world.receive("plan")
    assert message is not None
    for _ in range(2):
        story.world.invoke("plan", sqs_event("plan", message))
    assert story.total(Metric.BATCHES_FAILED) == 1
    assert story.points(Metric.ADMISSION_WAIT) == []


def test_waiting_batches_and_their_wait_for_admission_are_measured(story: Story) -> None:
    for _ in range(3):
        create(story, requests(1))
        story.world.deliver("plan")
    story.world.sweep()
    gauges = Metric.BATCHES_RUNNING, Metric.BATCHES_WAITING
    assert story.count(*gauges) == dict(zip(gauges, (1, 2), strict=True))
    story.world.pass_time(100)
    story.world.run()
    first, *later = story.values(Metric.ADMISSION_WAIT)
    assert first < 60_000
    assert len(later) == 2
    assert min(later) >= 100_000


def test_lines_never_run_count_as_expired_and_a_late_batch_as_overdue(story: Story) -> None:
    batch_id = create(story, requests(6))
    story.world.deliver("plan")
    story.world.complete_shard(batch_id, 0)
    story.world.pass_time(86_400 + 300)
    story.world.sweep()
    assert story.values(Metric.BATCHES_OVERDUE) == []
    story.world.pass_time(301)
    story.world.sweep()
    assert story.values(Metric.BATCHES_OVERDUE) == story.values(Metric.WORK_STUCK) == [1]
    story.world.run()
    assert story.world.batch(batch_id).status is BatchStatus.EXPIRED
    ends = Metric.BATCHES_EXPIRED, Metric.LINES_EXPIRED, Metric.LINES_COMPLETED, Metric.LINES_CANCELLED
    assert story.count(*ends) == dict(zip(ends, (1, 2, 4, 0), strict=True))
    story.world.sweep()
    assert story.values(Metric.BATCHES_OVERDUE) == [1]


def test_a_batch_without_progress_counts_as_stalled_each_time_it_is_sent_again(story: Story) -> None:
    create(story, requests(6))
    story.world.deliver("plan")
    for _ in range(3):
        story.world.pass_time(601)
        story.world.sweep()
    assert story.total(Metric.BATCHES_STALLED) == 3
    assert story.values(Metric.WORK_STUCK) == [1, 1, 1]


def test_an_idle_sweep_publishes_nothing(story: Story) -> None:
    story.world.sweep()
    batch_id = create(story, requests(1))
    story.world.run()
    assert story.world.batch(batch_id).status is BatchStatus.COMPLETED
    story.world.sweep()
    gauges = Metric.BATCHES_RUNNING, Metric.BATCHES_WAITING, Metric.BATCHES_OVERDUE, Metric.WORK_STUCK
    assert story.count(*gauges) == dict.fromkeys(gauges, 0)


def test_a_batch_that_nobody_plans_is_stuck_after_ten_minutes_until_it_is_planned(story: Story) -> None:
    create(story, requests(1))
    for seconds, values in ((590, []), (70, [1]), (70, [1, 1])):
        story.world.pass_time(seconds)
        story.world.sweep()
        assert story.values(Metric.WORK_STUCK) == values
    story.world.deliver("plan")
    story.world.pass_time(70)
    story.world.sweep()
    assert story.values(Metric.WORK_STUCK) == [1, 1]


def test_lines_never_run_count_as_cancelled_once(story: Story) -> None:
    batch_id = create(story, requests(6))
    story.world.deliver("plan")
    story.world.complete_shard(batch_id, 0)
    story.world.call("POST", f"/batches/{batch_id}/cancel")
    story.world.run()
    assert story.world.batch(batch_id).status is BatchStatus.CANCELLED
    ends = Metric.BATCHES_CANCELLED, Metric.LINES_CANCELLED, Metric.LINES_COMPLETED, Metric.LINES_EXPIRED
    assert story.count(*ends) == dict(zip(ends, (1, 2, 4, 0), strict=True))


def test_dead_letters_and_the_lines_that_fail_with_them_are_counted(story: Story) -> None:
    create(story, requests(4))
    story.world.deliver("plan")
    message = story.world.receive("infer")
    assert message is not None
    story.world.invoke("dead_letters", sqs_event("infer-dead.fifo", message))
    create(story, requests(1))
    message = story.world.receive("plan")
    assert message is not None
    story.world.invoke("dead_letters", sqs_event("dead", message))
    counts = Metric.DEAD_LETTERS, Metric.LINES_FAILED, Metric.BATCHES_FAILED
    assert story.count(*counts) == dict(zip(counts, (2, 4, 1), strict=True))


def test_failed_attempts_are_measured_even_if_their_lines_complete(story: Story) -> None:
    def script(_body: Body, seen: int) -> web.Response | None:
        return refusal((429, 500)[seen], **{"retry-after": "0.01"}) if seen < 2 else None

    story.upstream.script = script
    create(story, requests(4))
    story.world.run()
    assert story.count(Metric.LINES_COMPLETED, Metric.LINES_FAILED) == {
        Metric.LINES_COMPLETED: 4,
        Metric.LINES_FAILED: 0,
    }
    assert story.by_kind(Metric.UPSTREAM_REFUSALS) == {None: 4, "rate_limited": 4}
    assert story.by_kind(Metric.UPSTREAM_FAILURES) == {None: 4, "server_error": 4}
    assert len(story.values(Metric.UPSTREAM_LATENCY)) == 12


def test_an_unreachable_upstream_is_reported_even_if_nothing_is_committed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings(upstreams=only("http://127.0.0.1:9/v1"), max_concurrent_requests_per_batch=2)
    with moto_world(settings) as world:
        story = Story(world, Upstream(), capsys)
        story.world.create(story.world.upload(requests(3)))
        story.world.deliver("plan")
        story.world.deliver("infer")
        refusals = story.by_kind(Metric.UPSTREAM_REFUSALS)
        assert refusals[None] == refusals["unreachable"] <= 6
        assert story.by_kind(Metric.UPSTREAM_FAILURES) == {None: 0}
        assert story.values(Metric.UPSTREAM_LATENCY) == []
        assert story.points(Metric.CHECKPOINT_TIME) == []
        assert story.values(Metric.UPSTREAM_DOWN) == [1]


def test_refusals_and_failures_are_reported_by_upstream_and_kind(story: Story) -> None:
    answers = (
        lambda: refusal(401, **{"retry-after": "0.01"}),
        lambda: web.Response(text="<html>", content_type="text/html", headers={"retry-after": "0.01"}),
        lambda: web.Response(text="busy", headers={"retry-after": "0.01"}),
    )
    story.upstream.script = lambda _body, seen: answers[seen]() if seen < len(answers) else None
    create(story, requests(1))
    story.world.run()
    assert story.by_kind(Metric.UPSTREAM_REFUSALS) == {None: 2, "denied": 1, "gateway": 1}
    assert story.by_kind(Metric.UPSTREAM_FAILURES) == {None: 1, "unreadable": 1}
    with_kinds = [point for point in story.points(Metric.UPSTREAM_REFUSALS) if "kind" in point.dimensions]
    assert {point.dimensions["upstream"] for point in with_kinds} == {ONLY}


def test_requests_in_flight_are_averaged_over_time(story: Story) -> None:
    story.world.ports.settings.__dict__["max_concurrent_requests_per_batch"] = 4
    story.upstream.delay_seconds = 0.5
    create(story, requests(4))
    story.world.run()
    (mean,) = story.values(Metric.IN_FLIGHT)
    assert 1.5 < mean <= 4


def test_a_long_run_publishes_after_each_checkpoint(story: Story) -> None:
    story.world.ports.settings.__dict__.update(
        shard_max_lines=100, max_concurrent_requests_per_batch=1, checkpoint_seconds=0.1
    )
    # Requests are in flight at every checkpoint.
    story.upstream.delay_seconds = 0.07
    create(story, requests(10))
    story.world.run()
    counted = story.points(Metric.LINES_COMPLETED)
    assert len(counted) >= 3
    assert sum(value for point in counted for value in point.values) == 10
    assert counted[-1].at - counted[0].at > 0.2
    assert len(story.values(Metric.UPSTREAM_LATENCY)) == 10
    means = story.values(Metric.IN_FLIGHT)
    assert 0 <= min(means) <= max(means) <= 1
    assert max(means) > 0.5


def test_a_fenced_checkpoint_counts_nothing(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_id = create(story, requests(4))
    story.world.deliver("plan")
    batches = story.world.ports.batches
    commit = batches.commit_checkpoint

    def commit_too_late(shard: Shard, checkpoint: Checkpoint) -> Shard:
        monkeypatch.undo()
        batches.begin_shard(batches.get_shard(batch_id, 0), 0)
        return commit(shard, checkpoint)

    monkeypatch.setattr(batches, "commit_checkpoint", commit_too_late)
    story.world.deliver("infer")
    assert len(story.values(Metric.UPSTREAM_LATENCY)) == 4
    for metric in (Metric.LINES_COMPLETED, Metric.PROMPT_TOKENS, Metric.CHECKPOINT_TIME):
        assert story.points(metric) == []


def test_a_handler_that_raises_publishes_its_metrics(story: Story) -> None:
    create(story, requests(1))
    message = story.world.receive("plan")
    assert message is not None
    event = sqs_event("plan", message | {"Body": "no json"})
    with pytest.raises(ValueError, match="JSON"):
        story.world.invoke("plan", event)
    assert len(story.values(Metric.QUEUE_WAIT)) == 1


def test_a_handler_that_measures_nothing_prints_nothing(story: Story) -> None:
    story.capture.readouterr()
    assert story.world.call("GET", "/batches")[0] == 200
    assert story.capture.readouterr().out == ""


def test_a_log_line_has_no_more_values_per_metric_than_cloudwatch_accepts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    meter = EmbeddedMetrics()
    meter.add(Metric.LINES_COMPLETED, 7)
    for number in range(250):
        meter.add(Metric.UPSTREAM_LATENCY, number)
    meter.publish()
    lines = [points_of(line) for line in capsys.readouterr().out.splitlines()]
    assert [[len(point.values) for point in points] for points in lines] == [[1, 100], [100], [50]]
    assert [value for points in lines for value in points[-1].values] == list(range(250))


def test_output_of_a_rig_handler_other_than_metrics_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    output, meter = HandlerOutput(), EmbeddedMetrics()
    with redirect_stdout(output):
        print("before")
        meter.add(Metric.DEAD_LETTERS)
        meter.publish()
        print("af", "ter", sep="")
    assert [point.metric for point in output.take_points()] == [Metric.DEAD_LETTERS]
    assert output.take_points() == []
    assert capsys.readouterr() == ("", "before\nafter\n")


def test_the_rig_collects_metrics_in_its_ledger_and_does_not_print_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected = {
        Metric.BATCHES_CREATED,
        Metric.BATCHES_COMPLETED,
        Metric.UPSTREAM_LATENCY,
        Metric.BATCHES_RUNNING,
    }
    with running_rig() as instance:
        ledger = instance.rig.ledger
        assert instance.wait(instance.create(requests(20)).id).status == "completed"
        # Metrics of a function arrive at the end of its invocation; the sweeper runs every second.
        deadline = time.monotonic() + 20
        while not expected <= {point.metric for point in ledger.points()}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    kept = ledger.points()
    assert sum(sum(point.values) for point in kept if point.metric is Metric.LINES_COMPLETED) == 20
    assert [point.at for point in kept] == sorted(point.at for point in kept)
    assert "_aws" not in "".join(capfd.readouterr())
    ledger.clear()
    assert ledger.points() == []
