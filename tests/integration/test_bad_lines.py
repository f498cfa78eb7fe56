"""Bad lines soon end as error lines; good lines never do."""

from collections.abc import Callable

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.domain.inference.worker import LONE_RETRIES
from nightlane.domain.shard import Suspicion
from tests.upstream import ONLY, Body, Upstream, question, refusal
from tests.world import World, requests

Script = Callable[[Body, int], web.Response | None]
AT_ONCE = {"retry-after": "0.001"}


def only(bad: int, answer: Callable[[], web.Response]) -> Script:
    """Always give this answer to one line, and successes to the others."""
    return lambda body, _seen: answer() if question(body) == f"Question {bad}?" else None


def errors(nightlane: World, batch_id: str) -> dict[str, object]:
    """Return the status of each error line, or its code if it has no response."""
    lines = nightlane.lines(nightlane.batch(batch_id).error_file_id)
    return {
        line["custom_id"]: line["response"]["status_code"] if line["response"] else line["error"]["code"]
        for line in lines
    }


@pytest.mark.parametrize(
    ("lines", "bad", "limit"),
    [(1, 0, 10), (3, 1, 10), (200, 196, 10), (12, 0, 1), (12, 11, 1)],
    ids=["only line", "one of 3", "197th of 200", "first of 12, one by one", "last of 12, one by one"],
)
def test_a_line_that_always_fails_ends_after_five_failures_and_the_others_complete(
    nightlane: World, upstream: Upstream, lines: int, bad: int, limit: int
) -> None:
    nightlane.ports.settings.__dict__.update(max_concurrent_requests_per_batch=limit, shard_max_lines=250)
    upstream.script = only(bad, lambda: refusal(500, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(lines)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, lines - 1, 1)
    assert errors(nightlane, batch_id) == {f"request-{bad}": 500}
    assert upstream.asked.pop(f"Question {bad}?") == 5
    assert set(upstream.asked.values()) <= {1}


def test_each_of_several_bad_lines_becomes_an_error_line(nightlane: World, upstream: Upstream) -> None:
    nightlane.ports.settings.__dict__.update(shard_max_lines=100, line_attempts=3)
    bad = {"Question 3?": 500, "Question 58?": 502, "Question 59?": 409}
    upstream.script = lambda body, _seen: (
        refusal(bad[question(body)], **AT_ONCE) if question(body) in bad else None
    )
    batch_id = nightlane.create(nightlane.upload(requests(60)))
    nightlane.run()
    assert nightlane.batch(batch_id).completed == 57
    assert errors(nightlane, batch_id) == {"request-3": 500, "request-58": 502, "request-59": 409}
    assert {upstream.asked[each] for each in bad} == {3}


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_denial_that_no_other_line_gets_is_the_lines_fault(
    nightlane: World, upstream: Upstream, status: int
) -> None:
    nightlane.ports.settings.__dict__.update(max_concurrent_requests_per_batch=1, shard_max_lines=100)
    upstream.delay_seconds = 0.005
    upstream.script = only(1, lambda: refusal(status, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(12)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 11, 1)
    assert errors(nightlane, batch_id) == {"request-1": status}
    assert upstream.asked["Question 1?"] == 2


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_denial_without_later_answers_is_the_lines_fault_after_ten_minutes(
    nightlane: World, upstream: Upstream, status: int
) -> None:
    upstream.script = only(3, lambda: refusal(status, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    retries = 0
    while (batch := nightlane.batch(batch_id)).status is BatchStatus.IN_PROGRESS:
        retries += 1
        assert (batch.completed, batch.failed, batch.is_resting) == (3, 0, True)
        # The upstream works, so no other batch rests.
        assert nightlane.ports.upstreams.get_rest(ONLY) is None
        nightlane.pass_time(301)
        nightlane.sweep()
        nightlane.run()
    assert retries == 2
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 3, 1)
    assert errors(nightlane, batch_id) == {"request-3": status}
    assert upstream.asked["Question 3?"] == 7


def test_random_failures_of_an_unreliable_upstream_are_not_blamed_on_lines(
    nightlane: World, upstream: Upstream
) -> None:
    # Such an unreliable upstream is sometimes given a rest; the test should not have to wait for it.
    nightlane.ports.settings.__dict__.update(shard_max_lines=100, upstream_pause_seconds=0)
    # Most lines fail a few times, the last ones as often as would get them blamed on a reliable upstream.
    upstream.script = lambda body, seen: (
        refusal(500, **AT_ONCE) if seen < int(question(body)[9:-1]) // 10 else None
    )
    batch_id = nightlane.create(nightlane.upload(requests(60)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 60, 0)


def test_failures_add_up_over_workers_that_hand_back(nightlane: World, upstream: Upstream) -> None:
    nightlane.ports.settings.__dict__["line_attempts"] = 4
    upstream.script = only(0, lambda: refusal(500, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.deliver("plan")
    shard = nightlane.ports.batches.begin_shard(nightlane.ports.batches.get_shard(batch_id, 0), 0)
    nightlane.ports.batches.release_shard(shard, {0: Suspicion(failures=3)})
    nightlane.run()
    assert errors(nightlane, batch_id) == {"request-0": 500}
    assert upstream.asked["Question 0?"] == 1


def test_a_line_that_is_refused_alone_gets_the_refusal_as_its_answer_when_patience_ends(
    nightlane: World, upstream: Upstream
) -> None:
    upstream.script = only(2, lambda: refusal(429, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    retries = 0
    while (batch := nightlane.batch(batch_id)).status is BatchStatus.IN_PROGRESS:
        retries += 1
        assert (batch.completed, batch.failed, batch.is_resting) == (3, 0, True)
        assert batch.trouble is not None
        assert batch.trouble.status == 429
        # The upstream works, so no other batch rests.
        assert nightlane.ports.upstreams.get_rest(ONLY) is None
        nightlane.pass_time(301)
        nightlane.sweep()
        nightlane.run()
    assert retries == LONE_RETRIES
    assert errors(nightlane, batch_id) == {"request-2": 429}
    assert upstream.asked["Question 2?"] < 40


def test_a_line_that_was_refused_before_an_outage_is_not_blamed_for_the_outage(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=4, shard_max_lines=600, upstream_pause_seconds=0
    )
    upstream.delay_seconds = 0.01
    unlucky, outage = "Question 0?", {"refused": 0}

    def script(body: Body, seen: int) -> web.Response | None:
        """One line is refused three times, then all lines are until the worker stops, then none."""
        if question(body) == unlucky and seen < 3:
            return refusal(503, **AT_ONCE)
        if upstream.asked[unlucky] >= 3 and outage["refused"] < 12:
            outage["refused"] += 1
            return refusal(503, **AT_ONCE)
        return None

    upstream.script = script
    batch_id = nightlane.create(nightlane.upload(requests(200)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert outage["refused"] == 12
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 200, 0)
