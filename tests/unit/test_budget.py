"""The bytes a worker may hold: large answers wait for room, but none waits forever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.budget import ByteBudget


async def yield_to_loop(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@given(
    limit=st.integers(1, 100),
    answers=st.lists(st.tuples(st.integers(1, 150), st.integers(0, 5), st.booleans()), max_size=30),
    counted=st.lists(st.integers(0, 60), max_size=5),
)
def test_reservations_stay_within_the_limit_except_for_one_and_each_is_granted(
    limit: int, answers: list[tuple[int, int, bool]], counted: list[int]
) -> None:
    budget = ByteBudget(limit)
    held: list[int] = []
    started: list[int] = []

    async def read(number: int, size: int, ticks: int) -> None:
        await budget.reserve(size)
        started.append(number)
        held.append(size)
        assert budget.used <= limit or len(held) == 1
        await yield_to_loop(ticks)
        held.remove(size)
        budget.release(size)

    async def main() -> None:
        for size in counted:
            budget.take(size)
        tasks = [asyncio.create_task(read(at, size, ticks)) for at, (size, ticks, _) in enumerate(answers)]
        await yield_to_loop(1)
        for task, (_, _, cancelled) in zip(tasks, answers, strict=True):
            # Cancel only those that are waiting: one being read is released by its caller, not by `reserve`.
            if cancelled and tasks.index(task) not in started:
                task.cancel()
        await yield_to_loop(1)
        for size in counted:
            budget.give_back(size)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    asyncio.run(main())
    assert started == sorted(started)
    assert (budget.used, budget.is_full) == (0, False)


async def start_reserving(budget: ByteBudget, size: int) -> "asyncio.Task[None]":
    task = asyncio.create_task(budget.reserve(size))
    await yield_to_loop()
    return task


def test_an_answer_that_fits_does_not_wait_and_one_that_does_not_requests_a_commit() -> None:
    async def main() -> None:
        budget, pressed = ByteBudget(10), []
        budget.on_pressure = lambda: pressed.append(1)
        budget.take(4)
        await asyncio.wait_for(budget.reserve(6), 1)
        assert (budget.used, budget.is_full, pressed) == (10, True, [])
        waiting = await start_reserving(budget, 1)
        assert (waiting.done(), pressed) == (False, [1])
        budget.give_back(1)
        await yield_to_loop()
        assert waiting.done()

    asyncio.run(main())


def test_a_small_answer_does_not_overtake_a_large_one() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        await budget.reserve(8)
        large, small = await start_reserving(budget, 9), await start_reserving(budget, 1)
        assert (large.done(), small.done(), budget.is_full) == (False, False, True)
        budget.release(8)
        await yield_to_loop()
        assert (large.done(), small.done(), budget.used) == (True, True, 10)

    asyncio.run(main())


@pytest.mark.parametrize("taken", [0, 100])
def test_an_answer_larger_than_the_whole_budget_is_read_alone(taken: int) -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        budget.take(taken)
        await asyncio.wait_for(budget.reserve(50), 1)
        waiting = await start_reserving(budget, 1)
        assert not waiting.done()
        budget.release(50)
        await yield_to_loop()
        assert waiting.done()

    asyncio.run(main())


def test_a_reservation_cancelled_while_waiting_takes_no_room() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        await budget.reserve(10)
        dropped, next_one = await start_reserving(budget, 10), await start_reserving(budget, 4)
        dropped.cancel()
        await yield_to_loop()
        budget.release(10)
        await yield_to_loop()
        assert next_one.done()
        assert budget.used == 4
        assert not budget.is_full

    asyncio.run(main())


def test_a_reservation_cancelled_just_as_it_is_granted_is_released() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        await budget.reserve(10)
        dropped, next_one = await start_reserving(budget, 10), await start_reserving(budget, 4)
        budget.release(10)
        dropped.cancel()
        await yield_to_loop()
        assert dropped.cancelled()
        assert next_one.done()
        assert budget.used == 4

    asyncio.run(main())
