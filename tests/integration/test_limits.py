"""How many requests are in flight follows what the upstream takes, and the next batch begins with that."""

from aiohttp import web

from nightlane.domain.batch import BatchStatus
from nightlane.domain.learned import LearnedLimit
from tests.upstream import Body, Upstream, refusal
from tests.world import World, requests

CAPACITY = 4


def refuse_above(upstream: Upstream, capacity: int, refused: list[int]) -> None:
    def script(_body: Body, _seen: int) -> web.Response | None:
        if upstream.in_flight > capacity:
            refused.append(upstream.in_flight)
            return refusal(429)
        return None

    upstream.script = script


def run_batch(nightlane: World, lines: int) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(lines)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, lines, 0)


def test_what_one_batch_learned_about_the_upstream_is_where_the_next_one_starts(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__.update(max_concurrent_requests_per_batch=32, shard_max_lines=600)
    upstream.delay_seconds = 0.01
    refused: list[int] = []
    refuse_above(upstream, CAPACITY, refused)
    run_batch(nightlane, 200)
    assert upstream.max_in_flight > 2 * CAPACITY
    learned = nightlane.ports.upstreams.get_state("default").learned
    assert learned is not None
    # The scripted upstream refuses after its delay, so the requests in flight include some that it refuses.
    assert learned.requests <= 2 * CAPACITY
    refused.clear()
    upstream.max_in_flight = 0
    run_batch(nightlane, 20)
    assert upstream.max_in_flight <= 2 * learned.requests


def test_a_run_that_is_never_refused_stores_nothing(nightlane: World, upstream: Upstream) -> None:
    run_batch(nightlane, 20)
    assert nightlane.ports.upstreams.get_state("default").learned is None


def test_an_upstream_that_takes_more_than_before_is_remembered_as_such(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__.update(max_concurrent_requests_per_batch=8, shard_max_lines=600)
    upstream.delay_seconds = 0.002
    nightlane.ports.upstreams.note_limit("default", LearnedLimit(2, int(nightlane.ports.now())))
    run_batch(nightlane, 200)
    assert upstream.max_in_flight == 8
    learned = nightlane.ports.upstreams.get_state("default").learned
    assert learned is not None
    assert learned.requests == 8


def test_an_answer_time_per_token_above_the_target_lowers_the_requests_in_flight(
    nightlane: World, upstream: Upstream
) -> None:
    # The scripted answers have two tokens.
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=32, shard_max_lines=600, target_seconds_per_output_token=0.005
    )
    upstream.delay_seconds = 0.02
    run_batch(nightlane, 100)
    assert upstream.max_in_flight <= 4
    learned = nightlane.ports.upstreams.get_state("default").learned
    assert learned is not None
    assert learned.requests <= 4
