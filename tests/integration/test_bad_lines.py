"""Lines that are at fault end as error lines, soon and alone; lines that are not never do."""

from collections.abc import Callable

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.domain.inference.worker import LONE_LOOKS
from nightlane.domain.shard import Suspicion
from tests.upstream import Body, Upstream, question, refusal
from tests.world import World, requests

Script = Callable[[Body, int], web.Response | None]
AT_ONCE = {"retry-after": "0.001"}


def only(bad: int, answer: Callable[[], web.Response]) -> Script:
    """This line gets this, always; the others are answered."""
    return lambda body, _seen: answer() if question(body) == f"Question {bad}?" else None


def errors(nightlane: World, batch_id: str) -> dict[str, object]:
    """The status, or the code, of each error line."""
    found = nightlane.lines(nightlane.batch(batch_id).error_file_id)
    return {
        line["custom_id"]: line["response"]["status_code"] if line["response"] else line["error"]["code"]
        for line in found
    }


@pytest.mark.parametrize(
    ("lines", "bad", "limit"),
    [(1, 0, 10), (3, 1, 10), (200, 196, 10), (12, 0, 1), (12, 11, 1)],
    ids=["alone", "of three", "line 197 of 200", "first of twelve by one", "last of twelve by one"],
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


def test_several_bad_lines_end_each_by_itself(nightlane: World, upstream: Upstream) -> None:
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
def test_an_error_that_others_do_not_get_is_the_lines_own(
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
def test_an_error_that_no_later_answer_speaks_against_is_the_lines_own_after_ten_minutes(
    nightlane: World, upstream: Upstream, status: int
) -> None:
    upstream.script = only(3, lambda: refusal(status, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    looks = 0
    while (batch := nightlane.batch(batch_id)).status is BatchStatus.IN_PROGRESS:
        looks += 1
        assert (batch.completed, batch.failed, batch.is_resting) == (3, 0, True)
        # No other batch rests for it: the upstream works.
        assert nightlane.ports.upstreams.get_rest(upstream.url) is None
        nightlane.pass_time(301)
        nightlane.sweep()
        nightlane.run()
    assert looks == 2
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 3, 1)
    assert errors(nightlane, batch_id) == {"request-3": status}
    assert upstream.asked["Question 3?"] == 7


def test_what_an_unreliable_upstream_does_by_chance_is_no_lines_fault(
    nightlane: World, upstream: Upstream
) -> None:
    # So unreliable an upstream is given a rest now and then: none that the test has to wait for.
    nightlane.ports.settings.__dict__.update(shard_max_lines=100, upstream_pause_seconds=0)
    # Most lines fail, though none always: the last ones as often as makes a line the culprit elsewhere.
    upstream.script = lambda body, seen: (
        refusal(500, **AT_ONCE) if seen < int(question(body)[9:-1]) // 10 else None
    )
    batch_id = nightlane.create(nightlane.upload(requests(60)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 60, 0)


def test_failures_count_over_workers_that_hand_back(nightlane: World, upstream: Upstream) -> None:
    nightlane.ports.settings.__dict__["line_attempts"] = 4
    upstream.script = only(0, lambda: refusal(500, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.deliver("plan")
    shard = nightlane.ports.batches.begin_shard(batch_id, 0)
    nightlane.ports.batches.release_shard(shard, {0: Suspicion(failures=3)})
    nightlane.run()
    assert errors(nightlane, batch_id) == {"request-0": 500}
    assert upstream.asked["Question 0?"] == 1


def test_a_line_that_alone_is_refused_gets_that_as_its_answer_when_patience_ends(
    nightlane: World, upstream: Upstream
) -> None:
    upstream.script = only(2, lambda: refusal(429, **AT_ONCE))
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    looks = 0
    while (batch := nightlane.batch(batch_id)).status is BatchStatus.IN_PROGRESS:
        looks += 1
        assert (batch.completed, batch.failed, batch.is_resting) == (3, 0, True)
        assert batch.trouble is not None
        assert batch.trouble.status == 429
        # No lane rests for it: the upstream works.
        assert nightlane.ports.upstreams.get_rest(upstream.url) is None
        nightlane.pass_time(301)
        nightlane.sweep()
        nightlane.run()
    assert looks == LONE_LOOKS
    assert errors(nightlane, batch_id) == {"request-2": 429}
    assert upstream.asked["Question 2?"] < 40


def test_a_line_that_is_refused_before_an_outage_is_not_at_fault_for_it(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=4, shard_max_lines=600, upstream_pause_seconds=0
    )
    upstream.delay_seconds = 0.002
    unlucky, outage = "Question 0?", {"refused": 0}

    def script(body: Body, seen: int) -> web.Response | None:
        """One line is refused three times; then all are, until the worker goes; then none is."""
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
