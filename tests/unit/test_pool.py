"""The rolling pool keeps its slots full, respects the throttle and misses no wake-up."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.pool import Pool

Read = Callable[[bool], Awaitable[bool]]


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop that never waits: when there is nothing else to do, it jumps to the time of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
        if not self._ready and scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, scheduled[0].when())
        elif not self._ready:  # type: ignore[attr-defined]
            raise AssertionError("every task is waiting, but nothing can wake one")
        super()._run_once()  # type: ignore[misc]


def run(main: Awaitable[None]) -> float:
    """Run `main` in virtual time and return when it ended."""
    loop = VirtualTime()
    try:
        loop.run_until_complete(main)
        return loop.time()
    finally:
        loop.close()


class Work:
    """Items that each take some seconds; `due` holds those to be repeated, with their times."""

    def __init__(self, seconds: list[int], size: int) -> None:
        self.unread = deque(enumerate(seconds))
        self.items: deque[tuple[int, int]] = deque()
        self.due: list[tuple[float, tuple[int, int]]] = []
        self.started: list[int] = []
        self.start_times: list[float] = []
        self.running = 0
        self.max_running = 0
        self.size = self.current_limit = size
        self.pause_until = 0.0
        self.stopped = False
        self.after: Callable[[int], None] = lambda _number: None
        self.reading: Read = self.read
        self.may_start: Callable[[], bool] = lambda: not self.stopped
        self.pool: Pool[tuple[int, int]] = Pool(
            size,
            self.take,
            lambda idle: self.reading(idle),
            self.work,
            throttle=self,
            next_due=lambda: self.due[0][0] if self.due else None,
            is_done=lambda: not self.unread and not self.items and not self.due,
            may_start=lambda: self.may_start(),
        )

    def limit(self) -> int:
        return self.current_limit

    def take(self, now: float, idle: bool) -> tuple[int, int] | None:
        assert idle == (not self.pool.in_flight)
        assert self.running < min(self.size, self.current_limit)
        if self.due and self.due[0][0] <= now:
            return heapq.heappop(self.due)[1]
        return self.items.popleft() if self.items else None

    async def read(self, _idle: bool) -> bool:
        await asyncio.sleep(0)
        if self.unread:
            self.items.append(self.unread.popleft())
        return bool(self.items)

    async def work(self, item: tuple[int, int]) -> None:
        number, seconds = item
        self.started.append(number)
        self.start_times.append(asyncio.get_running_loop().time())
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.running -= 1
        self.after(number)


@given(seconds=st.lists(st.integers(1, 20), max_size=30), size=st.integers(1, 8))
def test_items_start_in_order_and_no_slot_is_idle(seconds: list[int], size: int) -> None:
    work = Work(seconds, size)
    ended = run(work.pool.run())
    assert work.started == list(range(len(seconds)))
    assert work.max_running == min(size, len(seconds))
    slots = [0] * size
    for each in seconds:
        slots[slots.index(min(slots))] += each
    assert ended == max(slots)
    assert work.pool.in_flight == 0


@given(
    seconds=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    size=st.integers(1, 8),
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=40),
)
def test_no_more_items_run_than_the_limit_allows(seconds: list[int], size: int, limits: list[int]) -> None:
    work = Work(seconds, size)
    work.current_limit = limits[0]
    next_limits = itertools.cycle(limits)

    def after(_number: int) -> None:
        work.current_limit = next(next_limits)

    work.after = after
    ended = run(work.pool.run())
    assert work.started == list(range(len(seconds)))
    assert max(seconds) <= ended <= sum(seconds)


def test_a_limit_that_rises_with_each_answer_doubles_the_running_items_every_round() -> None:
    work = Work([1] * 63, 32)
    work.current_limit = 1

    def after(_number: int) -> None:
        work.current_limit = min(32, work.current_limit + 1)

    work.after = after
    # 1 + 2 + 4 + 8 + 16 + 32.
    assert run(work.pool.run()) == 6
    assert work.max_running == 32


@given(size=st.integers(1, 5), until=st.integers(1, 50))
def test_nothing_starts_during_a_pause_and_all_slots_start_after_it(size: int, until: int) -> None:
    work = Work([1] * (2 * size), size)

    def after(number: int) -> None:
        if number == size - 1:
            work.pause_until = 1.0 + until

    work.after = after
    assert run(work.pool.run()) >= 1
    # The pause, set at the end of the first round, applies to all items that had not started yet.
    paused = [start for start in work.start_times if start > 1]
    assert paused == [1.0 + until] * len(paused)
    assert paused
    assert work.started == list(range(2 * size))


def test_a_pause_that_is_extended_is_kept_to_its_new_end() -> None:
    work = Work([1, 1, 1], 2)
    work.pause_until = 5.0

    async def main() -> None:
        pool = asyncio.create_task(work.pool.run())
        await asyncio.sleep(4)
        work.pause_until = 9.0
        await pool

    assert run(main()) == 11
    assert work.start_times == [9, 9, 10]


@given(dues=st.lists(st.integers(0, 30), min_size=1, max_size=10), size=st.integers(1, 4))
def test_an_item_that_is_due_later_starts_then_even_if_nothing_else_happens(
    dues: list[int], size: int
) -> None:
    work = Work([], size)
    work.due = [(float(due), (number, 0)) for number, due in enumerate(dues)]
    heapq.heapify(work.due)
    assert run(work.pool.run()) == max(dues)
    assert work.start_times == sorted(dues)


@given(
    seconds=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    size=st.integers(1, 6),
    again=st.dictionaries(st.integers(0, 19), st.integers(0, 12)),
    limits=st.lists(st.integers(1, 6), max_size=20),
    reads=st.lists(st.integers(0, 3), min_size=1, max_size=10),
    stop_at=st.none() | st.integers(0, 20),
)
def test_no_wake_up_is_lost(
    seconds: list[int],
    size: int,
    again: dict[int, int],
    limits: list[int],
    reads: list[int],
    stop_at: int | None,
) -> None:
    """Items are repeated later, reads take time, the limit changes, and the pool may be stopped.

    `VirtualTime` raises an error if every slot sleeps forever.
    """
    work = Work(seconds, size)
    left, next_limits, read_seconds = dict(again), iter(limits), itertools.cycle(reads)

    def after(number: int) -> None:
        work.current_limit = next(next_limits, work.current_limit)
        if number in left:
            due = asyncio.get_running_loop().time() + left.pop(number)
            heapq.heappush(work.due, (due, (number, 1)))

    async def read(idle: bool) -> bool:
        found = await read_now(idle)
        await asyncio.sleep(next(read_seconds))
        return found

    def stop() -> None:
        work.stopped = True
        work.pool.wake()

    async def main() -> None:
        if stop_at is not None:
            asyncio.get_running_loop().call_at(stop_at, stop)
        await work.pool.run()

    work.after = after
    read_now, work.reading = work.read, read
    run(main())
    if stop_at is None:
        repeated = [number for number in range(len(seconds)) if number in again]
        assert sorted(work.started) == sorted([*range(len(seconds)), *repeated])


@given(seconds=st.lists(st.integers(1, 5), min_size=1, max_size=20), stop_after=st.integers(0, 20))
def test_once_nothing_may_start_the_running_items_end_and_no_others_start(
    seconds: list[int], stop_after: int
) -> None:
    work = Work(seconds, 3)
    ended: list[int] = []
    work.after = ended.append
    work.may_start = lambda: len(work.started) < stop_after
    run(work.pool.run())
    assert work.started == list(range(min(stop_after, len(seconds))))
    assert sorted(ended) == work.started


def test_a_stopped_pool_drains_once_it_is_woken() -> None:
    work = Work([3, 4, 1], 3)
    work.due = [(100.0, (7, 1))]

    async def main() -> None:
        pool = asyncio.create_task(work.pool.run())
        await asyncio.sleep(2)
        work.stopped = True
        work.pool.wake()
        await pool

    assert run(main()) == 4
    assert work.started == [0, 1, 2]


def test_an_item_that_was_read_too_late_is_not_started() -> None:
    work = Work([1, 1], 1)
    read_now = work.read

    async def slow(idle: bool) -> bool:
        found = await read_now(idle)
        await asyncio.sleep(5)
        work.stopped = True
        return found

    work.reading = slow
    run(work.pool.run())
    assert work.started == []
    assert work.pool.in_flight == 0


@pytest.mark.parametrize("where", ["work", "read"])
def test_a_failure_cancels_the_rest(where: str) -> None:
    work = Work([10, 10, 1, 10], 3)
    ended: list[int] = []

    def after(number: int) -> None:
        if number == 2:
            if where == "work":
                raise ValueError("two")
            work.reading = failing
        else:
            ended.append(number)

    async def failing(_idle: bool) -> bool:
        raise ValueError("two")

    work.after = after
    with pytest.raises(ExceptionGroup) as caught:
        run(work.pool.run())
    assert caught.group_contains(ValueError, match="two")
    assert ended == []
    assert (work.running, work.pool.in_flight) == (0, 0)


def test_cancelling_the_pool_cancels_the_work() -> None:
    work = Work([10, 10, 10], 2)

    async def main() -> None:
        pool = asyncio.create_task(work.pool.run())
        await asyncio.sleep(1)
        pool.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pool

    assert run(main()) == 1
    assert (work.started, work.running, work.pool.in_flight) == ([0, 1], 0, 0)
