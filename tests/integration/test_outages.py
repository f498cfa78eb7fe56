"""No kind of outage fails a line, and lanes rest during it; trouble with AWS repeats no request."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import EndpointConnectionError

from nightlane.domain.batch import BatchStatus
from nightlane.domain.inference import upstream_monitor
from nightlane.domain.inference.lane_shards import STRIKES_BEFORE_ONE_BY_ONE
from nightlane.domain.inference.worker import MAX_RECEIVES
from nightlane.domain.shard import Checkpoint, Part, Shard
from nightlane.domain.trouble import Rest, Trouble
from nightlane.observability import logger
from nightlane.settings import Settings
from tests.rig.events import sqs_event
from tests.upstream import ONLY, Body, Upstream, only, refusal, serving
from tests.world import World, moto_world, requests

AT_ONCE = {"retry-after": "0.001"}


def quota() -> web.Response:
    error = {"message": "You exceeded your current quota", "type": "x", "code": "insufficient_quota"}
    return web.json_response({"error": error}, status=429, headers=AT_ONCE)


def page(status: int) -> web.Response:
    return web.Response(status=status, text="<html>busy</html>", content_type="text/html", headers=AT_ONCE)


def text(status: int) -> web.Response:
    return web.Response(status=status, text="no backend", headers=AT_ONCE)


class Outage:
    """Lets the first `after` requests succeed, then gives `count` requests this answer."""

    def __init__(self, answer: Callable[[], web.Response], count: int, after: int = 0) -> None:
        self.answer = answer
        self.count = count
        self.after = after
        self.seen = 0

    def __call__(self, _body: Body, _seen: int) -> web.Response | None:
        self.seen += 1
        return self.answer() if self.after < self.seen <= self.after + self.count else None


QUOTA = "429 for an exhausted quota"
SHAPES: dict[str, Callable[[], web.Response]] = {
    "503": lambda: refusal(503, **AT_ONCE),
    "429": lambda: refusal(429, **AT_ONCE),
    QUOTA: quota,
    "401": lambda: refusal(401, **AT_ONCE),
    "404 in plain text": lambda: text(404),
    "404 with a page": lambda: page(404),
    "200 with a page": lambda: page(200),
    "302": lambda: web.Response(status=302, headers=AT_ONCE | {"location": "/login"}),
}


@pytest.mark.parametrize(
    ("shape", "after"), [*((shape, 6) for shape in SHAPES), ("503", 0), ("401", 0), (QUOTA, 0)]
)
def test_an_outage_fails_no_line(nightlane: World, upstream: Upstream, shape: str, after: int) -> None:
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=2, upstream_pause_seconds=0, shard_max_lines=50
    )
    outage = upstream.script = Outage(SHAPES[shape], 8, after)
    batch_id = nightlane.create(nightlane.upload(requests(16)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 16, 0)
    assert (outage.seen, batch.trouble) == (24, None)
    workers = len([each for each in nightlane.deliveries if each.startswith("infer")])
    # An exhausted quota does not make a batch rest that was never served, because it may soon end.
    assert (workers > 1) == (after > 0 or shape != QUOTA)
    assert nightlane.ports.upstreams.get_rest(ONLY) is None


@pytest.mark.parametrize("shape", ["503", "401", "200 with a page"])
def test_a_batch_says_what_it_is_waiting_for(nightlane: World, upstream: Upstream, shape: str) -> None:
    upstream.script = Outage(SHAPES[shape], 10**6)
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.IN_PROGRESS, 0, 0)
    rest = nightlane.ports.upstreams.get_rest(ONLY)
    assert rest is not None
    assert 50 < rest.until - nightlane.ports.now() <= 60
    assert batch.trouble == rest.trouble
    assert batch.trouble is not None
    assert batch.trouble.status == SHAPES[shape]().status


@pytest.fixture
def log_events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The events that an operator reads in the log."""
    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(logger, "warning", lambda event, extra: events.append((event, extra)))
    return events


@pytest.mark.parametrize("after", [0, 4])
def test_the_log_says_once_that_an_upstream_does_not_answer_and_once_that_it_does_again(
    nightlane: World, upstream: Upstream, log_events: list[tuple[str, dict[str, Any]]], after: int
) -> None:
    upstream.script = Outage(SHAPES["503"], 4, after)
    nightlane.create(nightlane.upload(requests(8)))
    nightlane.run()
    down, up = log_events
    assert down[0] == "the upstream does not answer"
    assert (down[1]["upstream"], down[1]["kind"], down[1]["status"]) == (
        ONLY,
        "overloaded",
        503,
    )
    assert down[1]["reason"]
    assert up == ("the upstream answers again", {"upstream": ONLY})


def test_the_log_says_how_long_each_rest_is_and_why(
    nightlane: World, upstream: Upstream, log_events: list[tuple[str, dict[str, Any]]]
) -> None:
    upstream.script = Outage(SHAPES["503"], 10**6)
    nightlane.create(nightlane.upload(requests(3)))
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    event, details = log_events[-1]
    assert event == "all lanes rest"
    assert (details["upstream"], details["reason"][:3]) == (ONLY, "503")
    assert 55 < details["seconds"] <= 60


def test_an_exhausted_quota_ends_a_batch_that_was_never_served(
    nightlane: World, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_monitor, "QUOTA_PATIENCE_SECONDS", 0.1)
    upstream.script = lambda _body, _seen: quota()
    batch_id = nightlane.create(nightlane.upload(requests(12)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 0, 12)
    lines = nightlane.lines(batch.error_file_id)
    assert {line["response"]["status_code"] for line in lines} == {429}
    assert {line["response"]["body"]["error"]["code"] for line in lines} == {"insufficient_quota"}


def test_an_exhausted_quota_makes_a_batch_rest_that_was_served_before(
    nightlane: World, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_monitor, "QUOTA_PATIENCE_SECONDS", 0.0)
    upstream.script = Outage(quota, 10**6, after=4)
    batch_id = nightlane.create(nightlane.upload(requests(12)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.IN_PROGRESS, 4, 0)
    assert batch.trouble is not None
    assert (batch.trouble.kind, batch.trouble.status) == ("quota", 429)
    assert nightlane.ports.upstreams.get_rest(ONLY) is not None


class Locked(Upstream):
    """Accepts only one key."""

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("authorization") != "Bearer sk-new":
            return refusal(401, **AT_ONCE)
        return await super().answer(request)


def test_a_batch_whose_key_was_rotated_waits_for_the_new_one() -> None:
    with serving(Locked()) as upstream:
        settings = Settings(
            upstreams=only(upstream.url, auth={"secret": "acme/models"}), upstream_pause_seconds=0
        )
        with moto_world(settings) as nightlane:
            secrets = nightlane.clients.secrets
            secrets.create_secret(Name="acme/models", SecretString="sk-old")
            batch_id = nightlane.create(nightlane.upload(requests(6)))
            nightlane.deliver("plan")
            nightlane.deliver("infer")
            batch = nightlane.batch(batch_id)
            assert (batch.failed, batch.trouble and batch.trouble.kind) == (0, "denied")
            secrets.put_secret_value(SecretId="acme/models", SecretString="sk-new")
            nightlane.run()
            batch = nightlane.batch(batch_id)
            assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 6, 0)
            assert set(upstream.asked.values()) == {1}


def test_an_outage_found_by_one_lane_makes_the_others_rest_without_a_request(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=2, requests_in_flight_per_worker=1
    )
    upstream.script = lambda _body, _seen: refusal(503, **AT_ONCE)
    batch_id = nightlane.create(nightlane.upload(requests(8)))
    nightlane.deliver("plan")
    messages = nightlane.count(nightlane.urls["infer"])
    nightlane.deliver("infer")
    asked = len(upstream.raw)
    assert asked == 3
    assert nightlane.deliver("infer")
    assert not nightlane.deliver("infer")
    assert len(upstream.raw) == asked
    # The other lane has begun nothing.
    assert {(shard.lane, shard.epoch) for shard in nightlane.ports.batches.shards(batch_id)} == {(0, 1)}
    # All messages become visible again by themselves.
    assert nightlane.count(nightlane.urls["infer"]) == messages


def test_after_a_rest_one_refusal_starts_a_longer_one(nightlane: World, upstream: Upstream) -> None:
    now = int(nightlane.ports.now())
    trouble = Trouble("overloaded", 503, "busy", now - 300)
    nightlane.ports.upstreams.begin_rest(ONLY, Rest(now - 1, 1, trouble), None)
    upstream.script = lambda _body, _seen: refusal(503, **AT_ONCE)
    nightlane.create(nightlane.upload(requests(4)))
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    assert len(upstream.raw) == 1
    rest = nightlane.ports.upstreams.get_rest(ONLY)
    assert rest is not None
    assert rest.count == 2
    assert 110 < rest.until - now <= 125


def deliver_again(nightlane: World, receives: int) -> None:
    """Deliver a message of infer as if SQS had handed it out `receives` times."""
    message: Any = nightlane.receive("infer")
    message["Attributes"]["ApproximateReceiveCount"] = str(receives)
    answer = nightlane.invoke("infer", sqs_event("infer", message))
    assert answer == {"batchItemFailures": []}
    nightlane.clients.sqs.delete_message(
        QueueUrl=nightlane.urls["infer"], ReceiptHandle=message["ReceiptHandle"]
    )


@pytest.mark.parametrize(
    ("receives", "pause"), [(MAX_RECEIVES, 60), (1, 300)], ids=["received often", "a long rest"]
)
def test_the_sweeper_ends_long_rests_and_rests_of_messages_received_often(
    nightlane: World, upstream: Upstream, receives: int, pause: int
) -> None:
    nightlane.ports.settings.__dict__["upstream_pause_seconds"] = pause
    upstream.script = Outage(lambda: refusal(503, **AT_ONCE), 3)
    nightlane.ports.settings.__dict__["max_concurrent_requests_per_batch"] = 1
    batch_id = nightlane.create(nightlane.upload(requests(8)))
    nightlane.deliver("plan")
    deliver_again(nightlane, receives)
    assert nightlane.batch(batch_id).is_resting
    assert nightlane.count(nightlane.urls["infer"]) == 0
    assert len(upstream.raw) == 3
    nightlane.pass_time(pause - 5)
    nightlane.sweep()
    assert nightlane.count(nightlane.urls["infer"]) == 0
    nightlane.pass_time(6)
    nightlane.sweep()
    batch = nightlane.batch(batch_id)
    assert (batch.dispatches, batch.is_resting) == (2, False)
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 8)
    assert len(upstream.raw) == 3 + 8


def test_a_batch_that_is_cancelled_during_a_rest_ends_at_once(nightlane: World, upstream: Upstream) -> None:
    nightlane.ports.settings.__dict__["upstream_pause_seconds"] = 300
    upstream.script = lambda _body, _seen: refusal(503, **AT_ONCE)
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    assert nightlane.batch(batch_id).is_resting
    assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.CANCELLED, 0, 0)
    assert len(nightlane.lines(batch.error_file_id)) == 4


def create_with_dead_workers(nightlane: World, lines: int) -> str:
    """Create a batch whose first workers all died, so that its lines run one by one."""
    nightlane.ports.settings.__dict__["shard_max_lines"] = 50
    batch_id = nightlane.create(nightlane.upload(requests(lines)))
    nightlane.deliver("plan")
    for _ in range(STRIKES_BEFORE_ONE_BY_ONE):
        nightlane.ports.batches.begin_shard(nightlane.ports.batches.get_shard(batch_id, 0), 0)
    return batch_id


@pytest.mark.parametrize("shape", ["503", "401", QUOTA])
def test_a_worker_that_runs_lines_one_by_one_blames_no_line_for_an_outage(
    nightlane: World, upstream: Upstream, shape: str
) -> None:
    nightlane.ports.settings.__dict__["upstream_pause_seconds"] = 0
    outage = upstream.script = Outage(SHAPES[shape], 9, after=2)
    batch_id = create_with_dead_workers(nightlane, 6)
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 6, 0)
    assert outage.seen == 15


@pytest.mark.parametrize("lines", [1, 6])
def test_a_worker_that_runs_lines_one_by_one_does_not_take_failures_for_crashes(
    nightlane: World, upstream: Upstream, lines: int
) -> None:
    upstream.script = lambda body, _seen: refusal(500, **AT_ONCE) if "Question 0?" in str(body) else None
    batch_id = create_with_dead_workers(nightlane, lines)
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, lines - 1, 1)
    (line,) = nightlane.lines(batch.error_file_id)
    assert line["response"]["status_code"] == 500
    assert upstream.asked["Question 0?"] == 5


def test_a_failed_checkpoint_repeats_no_request(
    nightlane: World, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    nightlane.ports.settings.__dict__.update(checkpoint_seconds=0.05, shard_max_lines=50)
    upstream.delay_seconds = 0.05
    batches = nightlane.ports.batches
    commits: Counter[tuple[int, int, Part | None]] = Counter()
    commit = batches.commit_checkpoint

    def commit_at_the_second_attempt(shard: Shard, checkpoint: Checkpoint) -> Shard:
        commits[shard.index, shard.commits, checkpoint.part] += 1
        if commits[shard.index, shard.commits, checkpoint.part] == 1:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")
        return commit(shard, checkpoint)

    monkeypatch.setattr(batches, "commit_checkpoint", commit_at_the_second_attempt)
    batch_id = nightlane.create(nightlane.upload(requests(60)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 60)
    assert set(upstream.asked.values()) == {1}
    assert len(commits) >= 2
    # Each failed commit was retried unchanged, under the same key.
    assert set(commits.values()) == {2}
    assert nightlane.ports.batches.slots().running == {}


def test_answers_are_kept_when_the_rest_of_the_input_cannot_be_read(
    nightlane: World, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    nightlane.ports.settings.__dict__.update(max_concurrent_requests_per_batch=1, shard_max_lines=50)
    blobs = nightlane.ports.blobs
    stream = blobs.stream
    reads: list[int] = []

    def fail_third_read(key: str, start: int = 0, end: int | None = None) -> Any:
        reads.append(start)
        if key.endswith("input.jsonl") and len(reads) == 3:
            raise EndpointConnectionError(endpoint_url="https://s3")
        return stream(key, start, end)

    batch_id = nightlane.create(nightlane.upload(requests(12, user="x" * 50_000)))
    nightlane.deliver("plan")
    monkeypatch.setattr(blobs, "stream", fail_third_read)
    message: Any = nightlane.receive("infer")
    with pytest.raises(ExceptionGroup):
        nightlane.invoke("infer", sqs_event("infer", message))
    assert nightlane.batch(batch_id).completed == len(upstream.raw) > 0
    nightlane.invoke("infer", sqs_event("infer", message))
    assert nightlane.batch(batch_id).completed == 12
    assert set(upstream.asked.values()) == {1}
