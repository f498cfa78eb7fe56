"""What is sent next: lines due for a retry, then new ones, then suspects, then a probe."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.api_settings import MIB
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.feed import MAX_PENDING, PROBE, Candidate, Feed, Probe
from nightlane.domain.inference.lane_lines import LaneLines
from nightlane.domain.inference.lines import unfinished_lines
from nightlane.domain.inference.open_shards import OpenShard
from nightlane.domain.inference.outcomes import NO_BODY, Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.table import Verdict
from nightlane.domain.shard import DoneLines, ShardSpec
from tests.unit.test_lane_lines import OneBlob, open_shard, request

FAILURE = Outcome(Verdict.FAILED, Kind.SERVER_ERROR, None, NO_BODY, "")


def build_feed(
    count: int,
    suspects: frozenset[int] = frozenset(),
    slots: int = 4,
    budget: ByteBudget | None = None,
) -> Feed:
    data = b"".join(request(number, 0) + b"\n" for number in range(count))
    shards = iter([open_shard(ShardSpec(0, 0, 0, len(data), 0, count), suspects)])

    def read(shard: OpenShard) -> Iterator[tuple[int, bytes]]:
        return unfinished_lines(OneBlob(data), "input", shard.spec, DoneLines(count))  # type: ignore[arg-type]

    lines = LaneLines("batch_1", lambda: next(shards, None), read)
    return Feed(lines, slots, budget or ByteBudget(MIB))


async def take(feed: Feed, now: float = 0.0, *, idle: bool = False) -> int | Probe | None:
    """Take what is next; a line is returned as its number."""
    taken = await take_or_read(feed, now, idle=idle)
    return taken.line.number if isinstance(taken, Candidate) else taken


async def take_or_read(feed: Feed, now: float, *, idle: bool) -> Candidate | Probe | None:
    while (taken := feed.take(now, idle)) is None and await feed.read(idle):
        pass
    return taken


async def take_and_fail(feed: Feed, count: int) -> list[Candidate]:
    """Take new lines and fail their first attempt."""
    candidates = []
    for _ in range(count):
        candidate = await take_or_read(feed, 0.0, idle=True)
        assert isinstance(candidate, Candidate)
        candidate.last = FAILURE
        candidates.append(candidate)
    return candidates


def test_due_lines_come_first_then_new_ones_then_suspects_then_a_probe() -> None:
    async def main() -> None:
        feed = build_feed(5, suspects=frozenset({0, 3}))
        first, second = await take_and_fail(feed, 2)
        assert (first.line.number, second.line.number) == (1, 2)
        feed.hold(first, 5.0)
        feed.retry(second, 3.0)
        # Line 4 is new, and line 2 is not due yet. The suspects of an earlier run come last.
        assert await take(feed, 2.0) == 4
        assert await take(feed, 3.0) == 2
        assert [await take(feed, 9.0) for _ in range(3)] == [0, 3, PROBE]
        assert await take(feed, 9.0) is None
        assert feed.pending == [first]

    asyncio.run(main())


@given(dues=st.lists(st.integers(0, 5), max_size=20))
def test_lines_are_retried_in_the_order_in_which_they_are_due(dues: list[int]) -> None:
    async def main() -> None:
        feed = build_feed(len(dues))
        candidates = await take_and_fail(feed, len(dues))
        assert await take(feed) is None
        for candidate, due in zip(candidates, dues, strict=True):
            feed.retry(candidate, due)
        assert feed.next_due() == min(dues, default=None)
        order = [await take(feed, 5.0) for _ in dues]
        assert order == sorted(range(len(dues)), key=lambda number: dues[number])
        assert feed.is_empty
        assert feed.next_due() is None

    asyncio.run(main())


def test_a_line_that_is_not_due_waits() -> None:
    async def main() -> None:
        feed = build_feed(1)
        (candidate,) = await take_and_fail(feed, 1)
        assert feed.has_new
        assert await take(feed) is None
        assert not feed.has_new
        feed.retry(candidate, 7.0)
        assert not feed.is_empty
        assert [await take(feed, now) for now in (0.0, 6.9, 7.0)] == [None, None, 0]
        assert feed.is_empty

    asyncio.run(main())


def test_held_lines_cause_one_probe_at_a_time_when_nothing_else_is_left() -> None:
    async def main() -> None:
        feed = build_feed(3)
        first, second = await take_and_fail(feed, 2)
        feed.hold(first, 5.0)
        feed.hold(second, 8.0)
        # While there are new lines, their outcomes are the proof.
        assert feed.next_due() is None
        assert await take(feed, 9.0) == 2
        assert await take(feed, 4.0) is None
        assert feed.next_due() == 5.0
        assert await take(feed, 5.0) is PROBE
        assert (await take(feed, 99.0), feed.next_due()) == (None, None)
        feed.end_probe()
        assert feed.release(lambda each: each.due <= 5.0) == [first]
        assert feed.next_due() == 8.0
        assert await take(feed, 7.9) is None
        assert await take(feed, 8.0) is PROBE

    asyncio.run(main())


def test_a_requested_probe_comes_first_and_only_once() -> None:
    async def main() -> None:
        feed = build_feed(3)
        (candidate,) = await take_and_fail(feed, 1)
        feed.retry(candidate, 0.0)
        feed.probe_requested = True
        assert await take(feed) is PROBE
        feed.probe_requested = True
        assert await take(feed) == 0
        feed.end_probe()
        assert await take(feed) is PROBE

    asyncio.run(main())


def test_released_lines_are_removed() -> None:
    async def main() -> None:
        feed = build_feed(4)
        candidates = await take_and_fail(feed, 4)
        for candidate in candidates:
            feed.hold(candidate, 0.0)
        assert feed.release(lambda each: each.line.number % 2 == 0) == candidates[::2]
        assert feed.pending == candidates[1::2]
        assert feed.release(lambda _each: False) == []
        assert feed.release(lambda _each: True) == candidates[1::2]
        assert feed.release(lambda _each: True) == []

    asyncio.run(main())


@pytest.mark.parametrize(("slots", "max_pending"), [(1, MAX_PENDING), (60, 120)])
def test_with_many_lines_waiting_no_new_one_is_started(slots: int, max_pending: int) -> None:
    async def main() -> None:
        feed = build_feed(200, slots=slots)
        candidates = await take_and_fail(feed, max_pending)
        for candidate in candidates[::2]:
            feed.retry(candidate, 7.0)
        for candidate in candidates[1::2]:
            assert feed.has_new
            feed.hold(candidate, 5.0)
        assert not feed.has_new
        assert [await take(feed, now) for now in (4.0, 5.0, 6.0)] == [None, PROBE, None]
        feed.end_probe()
        assert feed.release(lambda each: each is candidates[1]) == [candidates[1]]
        assert await take(feed, 6.0) == max_pending
        # Once that line is held again, no new one may start, so the waiting lines are next.
        feed.hold(candidates[1], 5.0)
        assert [await take(feed, 7.0) for _ in range(2)] == [0, 2]

    asyncio.run(main())


def test_each_of_very_many_suspects_is_sent() -> None:
    async def main() -> None:
        suspects = frozenset(range(3 * MAX_PENDING))
        feed = build_feed(3 * MAX_PENDING + 2, suspects)
        order = [candidate.line.number for candidate in await take_and_fail(feed, 3 * MAX_PENDING + 2)]
        assert sorted(order) == list(range(3 * MAX_PENDING + 2))
        assert await take(feed) is None
        assert feed.is_empty

    asyncio.run(main())


def test_with_memory_full_a_new_line_is_started_only_if_nothing_is_in_flight() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        budget.take(10)
        feed = build_feed(4, budget=budget)
        assert await take(feed) is None
        assert await take(feed, idle=True) == 0
        (candidate,) = await take_and_fail(feed, 1)
        feed.retry(candidate, 0.0)
        assert await take(feed) == 1
        assert await take(feed) is None
        budget.give_back(10)
        assert await take(feed) == 2

    asyncio.run(main())
