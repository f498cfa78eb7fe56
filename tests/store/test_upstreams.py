"""The state of an upstream that all lanes share, on every store."""

from concurrent.futures import ThreadPoolExecutor

from nightlane.domain.learned import LearnedLimit
from nightlane.domain.stores import UpstreamState, UpstreamStore
from nightlane.domain.trouble import Rest
from nightlane.domain.upstream_use import UpstreamUse, first_hour, hour_of
from tests.store.examples import (
    BUSY,
    NOW,
    SILENT,
)


def test_a_rest_can_begin_be_replaced_and_end(upstreams: UpstreamStore) -> None:
    here, there = "https://one.example/v1", "https://two.example/v1"
    assert upstreams.get_rest(here) is None
    first = Rest(NOW + 60, 1, BUSY)
    assert upstreams.begin_rest(here, first, None) == first
    assert upstreams.get_rest(here) == first
    assert upstreams.get_rest(there) is None
    second = Rest(NOW + 180, 2, SILENT)
    assert upstreams.begin_rest(here, second, first) == second
    assert upstreams.get_rest(here) == second
    for _ in range(2):
        upstreams.end_rest(here)
        assert upstreams.get_rest(here) is None
    upstreams.end_rest(there)
    # A lane that saw the earlier rest may still begin the next one, although that rest was ended meanwhile.
    assert upstreams.begin_rest(here, second, first) == second


def test_lanes_that_begin_a_rest_concurrently_agree_on_one(upstreams: UpstreamStore) -> None:
    for round_ in range(2):
        previous = upstreams.get_rest("https://one.example/v1")
        rests = [Rest(NOW + 1_000 * round_ + lane, round_ + 1, BUSY) for lane in range(8)]
        with ThreadPoolExecutor(8) as pool:
            agreed = list(
                pool.map(
                    lambda rest, known=previous: upstreams.begin_rest("https://one.example/v1", rest, known),
                    rests,
                )
            )
        assert len(set(agreed)) == 1
        assert agreed[0] in rests
        assert upstreams.get_rest("https://one.example/v1") == agreed[0]


def test_what_was_learned_outlives_rests_and_the_latest_is_kept(upstreams: UpstreamStore) -> None:
    here, there = "https://one.example/v1", "https://two.example/v1"
    assert upstreams.get_state(here) == UpstreamState()
    learned, rest = LearnedLimit(4, NOW), Rest(NOW + 60, 1, BUSY)
    upstreams.note_limit(here, learned)
    assert upstreams.get_state(here) == UpstreamState(None, learned)
    assert upstreams.get_rest(here) is None
    assert upstreams.begin_rest(here, rest, None) == rest
    assert upstreams.get_state(here) == UpstreamState(rest, learned)
    later = LearnedLimit(8, NOW + 10)
    for each in (later, LearnedLimit(2, NOW + 5)):
        upstreams.note_limit(here, each)
        assert upstreams.get_state(here) == UpstreamState(rest, later)
    upstreams.end_rest(here)
    assert upstreams.get_state(here) == UpstreamState(None, later)
    assert upstreams.get_state(there) == UpstreamState()


def test_the_use_of_an_upstream_is_added_up_by_the_hour(upstreams: UpstreamStore) -> None:
    here, there, hour = "one", "two", hour_of(NOW)
    assert upstreams.uses(here, hour) == []
    for use in (
        UpstreamUse(hour - 24, 1, 1),
        UpstreamUse(hour - 1, 5, 2, BUSY),
        UpstreamUse(hour, 10, 0, SILENT),
        UpstreamUse(hour, 3, 1),
    ):
        upstreams.note_use(here, use)
    recent = [UpstreamUse(hour - 1, 5, 2, BUSY), UpstreamUse(hour, 13, 1, SILENT)]
    assert upstreams.uses(here, first_hour(NOW)) == recent
    assert upstreams.uses(here, hour) == recent[1:]
    assert upstreams.uses(there, first_hour(NOW)) == []
    assert upstreams.get_state(here) == UpstreamState()


def test_lanes_count_the_use_of_an_upstream_at_the_same_time(upstreams: UpstreamStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: upstreams.note_use("one", UpstreamUse(1, 2, 1)), range(16)))
    assert upstreams.uses("one", 1) == [UpstreamUse(1, 32, 16)]
