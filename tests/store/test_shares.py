"""The shares of an upstream's limit, on every store: of several writes to what was read, one wins."""

from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from nightlane.domain.shares import Share, Shares, claim, release
from nightlane.domain.stores import UpstreamStore
from nightlane.domain.trouble import Rest
from tests.store.examples import BUSY, NOW

HERE, THERE = "here", "there"
SHARE = Share(granted=3, wanted=100, until=NOW + 120, deadline=NOW + 86_400, holder="f" * 32)
FIRST = Shares(1, {"batch_1-0": SHARE})


def test_shares_are_read_as_they_were_written(upstreams: UpstreamStore) -> None:
    assert upstreams.get_shares(HERE) == Shares()
    assert upstreams.put_shares(HERE, FIRST)
    assert upstreams.get_shares(HERE) == FIRST
    second = Shares(2, {**FIRST.lanes, "batch_1-1": replace(SHARE, granted=0)})
    assert upstreams.put_shares(HERE, second)
    assert upstreams.get_shares(HERE) == second
    assert upstreams.put_shares(HERE, Shares(3))
    assert upstreams.get_shares(HERE) == Shares(3)


def test_shares_that_were_read_before_another_write_are_rejected(upstreams: UpstreamStore) -> None:
    for version in (1, 2, 3):
        assert upstreams.put_shares(HERE, Shares(version, FIRST.lanes))
    for stale in (1, 2, 3, 5):
        assert not upstreams.put_shares(HERE, Shares(stale))
    assert upstreams.get_shares(HERE) == Shares(3, FIRST.lanes)


def test_a_write_repeated_after_a_lost_response_changes_nothing(upstreams: UpstreamStore) -> None:
    assert upstreams.put_shares(HERE, FIRST)
    assert not upstreams.put_shares(HERE, FIRST)
    assert upstreams.get_shares(HERE) == FIRST
    # The lane reads again, and finds what it claimed.
    again, _ = claim(FIRST, "batch_1-0", SHARE, in_use=0, limit=3, now=NOW)
    assert again.lanes == FIRST.lanes
    assert upstreams.put_shares(HERE, again)


def test_upstreams_are_independent_of_each_other_and_of_their_rests(upstreams: UpstreamStore) -> None:
    assert upstreams.put_shares(HERE, FIRST)
    assert upstreams.get_shares(THERE) == Shares()
    rest = Rest(NOW + 60, 1, BUSY)
    upstreams.begin_rest(HERE, rest, None)
    assert upstreams.put_shares(HERE, release(FIRST, "batch_1-0", NOW))
    assert upstreams.get_rest(HERE) == rest
    upstreams.end_rest(HERE)
    assert upstreams.get_shares(HERE) == Shares(2)


def test_of_writes_at_the_same_time_exactly_one_wins(upstreams: UpstreamStore) -> None:
    for version in (1, 2):
        each = [Shares(version, {f"batch_{lane}-0": SHARE}) for lane in range(8)]
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda shares: upstreams.put_shares(HERE, shares), each))
        assert won.count(True) == 1
        assert upstreams.get_shares(HERE) == each[won.index(True)]


def test_lanes_that_claim_at_the_same_time_never_get_more_than_the_limit(upstreams: UpstreamStore) -> None:
    def claim_until_written(lane: int) -> int:
        name, share = f"batch_{lane}-0", replace(SHARE, granted=0, deadline=NOW + lane)
        while True:
            claimed, _ = claim(upstreams.get_shares(HERE), name, share, in_use=0, limit=7, now=NOW)
            if upstreams.put_shares(HERE, claimed):
                return claimed.lanes[name].granted

    with ThreadPoolExecutor(4) as pool:
        first = list(pool.map(claim_until_written, range(4)))
        assert sum(first) <= 7
        # Now that each knows of the others, they agree.
        for _ in range(2):
            list(pool.map(claim_until_written, range(4)))
    shares = upstreams.get_shares(HERE)
    assert [shares.lanes[f"batch_{lane}-0"].granted for lane in range(4)] == [2, 2, 2, 1]
    assert shares.version == 12
