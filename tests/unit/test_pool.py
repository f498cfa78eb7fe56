"""The rolling pool keeps its slots full, and only so many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.pool import run_pool

Item = TypeVar("Item")


def taking(items: Iterable[Item]) -> Callable[[], Awaitable[Item | None]]:
    remaining = iter(items)

    async def take() -> Item | None:
        return next(remaining, None)

    return take


class Clock:
    """Virtual time: work that takes n ticks ends at tick n, in order, without waiting."""

    def __init__(self) -> None:
        self.now = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    async def sleep(self, ticks: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + ticks, len(self._sleepers), future))
        await future

    async def run(self, pool: "asyncio.Task[None]") -> None:
        while not pool.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if self._sleepers:
                self._sleepers.sort(key=lambda sleeper: sleeper[:2])
                self.now, _, future = self._sleepers.pop(0)
                if not future.done():
                    future.set_result(None)


def pool_of(
    ticks: list[int], size: int, may_start: Callable[[list[int]], bool] = lambda _started: True
) -> tuple[list[int], int, int]:
    """Started items, most at once, and when it ended."""
    clock, running, most = Clock(), 0, 0
    began: list[int] = []

    async def work(item: tuple[int, int]) -> None:
        nonlocal running, most
        began.append(item[0])
        running += 1
        most = max(most, running)
        await clock.sleep(item[1])
        running -= 1

    async def main() -> None:
        pool = asyncio.create_task(run_pool(taking(enumerate(ticks)), size, work, lambda: may_start(began)))
        await clock.run(pool)
        await pool

    asyncio.run(main())
    return began, most, clock.now


@given(ticks=st.lists(st.integers(1, 20), max_size=30), size=st.integers(1, 8))
def test_items_start_in_order_at_most_so_many_at_once_and_no_slot_rests(ticks: list[int], size: int) -> None:
    started, most, ended = pool_of(ticks, size)
    assert started == list(range(len(ticks)))
    assert most == min(size, len(ticks))
    slots = [0] * size
    for each in ticks:
        slots[slots.index(min(slots))] += each
    assert ended == max(slots)


@given(ticks=st.lists(st.integers(1, 5), min_size=1, max_size=20), stop_after=st.integers(0, 20))
def test_nothing_starts_once_it_may_not_and_what_runs_ends(ticks: list[int], stop_after: int) -> None:
    started, _, _ = pool_of(ticks, 3, lambda began: len(began) < stop_after)
    assert len(started) == min(stop_after, len(ticks))


def test_a_failure_cancels_the_rest() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        if item == 2:
            raise ValueError("two")
        await asyncio.sleep(10)
        ended.append(item)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run_pool(taking([1, 2, 3]), 3, work, lambda: True))
    assert caught.group_contains(ValueError, match="two")
    assert ended == []
