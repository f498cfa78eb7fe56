"""Bytes a worker may hold: large answers wait for their place, and nobody waits for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.budget import ByteBudget


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@given(
    limit=st.integers(1, 100),
    answers=st.lists(st.tuples(st.integers(1, 150), st.integers(0, 5), st.booleans()), max_size=30),
    counted=st.lists(st.integers(0, 60), max_size=5),
)
def test_reservations_stay_within_the_limit_except_for_one_and_all_get_their_turn(
    limit: int, answers: list[tuple[int, int, bool]], counted: list[int]
) -> None:
    budget = ByteBudget(limit)
    held: list[int] = []
    begun: list[int] = []

    async def read(number: int, size: int, ticks: int) -> None:
        await budget.reserve(size)
        begun.append(number)
        held.append(size)
        assert budget.used <= limit or len(held) == 1
        await turns(ticks)
        held.remove(size)
        budget.release(size)

    async def main() -> None:
        for size in counted:
            budget.take(size)
        tasks = [asyncio.create_task(read(at, size, ticks)) for at, (size, ticks, _) in enumerate(answers)]
        await turns(1)
        for task, (_, _, given_up) in zip(tasks, answers, strict=True):
            # One that is being read would leave its bytes to its caller: only those that wait are cancelled.
            if given_up and tasks.index(task) not in begun:
                task.cancel()
        await turns(1)
        for size in counted:
            budget.give_back(size)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    asyncio.run(main())
    assert begun == sorted(begun)
    assert (budget.used, budget.is_full) == (0, False)


async def reserving(budget: ByteBudget, size: int) -> "asyncio.Task[None]":
    task = asyncio.create_task(budget.reserve(size))
    await turns()
    return task


def test_what_fits_does_not_wait_and_what_does_not_calls_for_a_commit() -> None:
    async def main() -> None:
        budget, pressed = ByteBudget(10), []
        budget.on_pressure = lambda: pressed.append(1)
        budget.take(4)
        await asyncio.wait_for(budget.reserve(6), 1)
        assert (budget.used, budget.is_full, pressed) == (10, True, [])
        waiting = await reserving(budget, 1)
        assert (waiting.done(), pressed) == (False, [1])
        budget.give_back(1)
        await turns()
        assert waiting.done()

    asyncio.run(main())


def test_a_small_one_does_not_overtake_a_large_one() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        await budget.reserve(8)
        large, small = await reserving(budget, 9), await reserving(budget, 1)
        assert (large.done(), small.done(), budget.is_full) == (False, False, True)
        budget.release(8)
        await turns()
        assert (large.done(), small.done(), budget.used) == (True, True, 10)

    asyncio.run(main())


@pytest.mark.parametrize("taken", [0, 100])
def test_an_answer_larger_than_the_whole_budget_is_read_alone(taken: int) -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        budget.take(taken)
        await asyncio.wait_for(budget.reserve(50), 1)
        waiting = await reserving(budget, 1)
        assert not waiting.done()
        budget.release(50)
        await turns()
        assert waiting.done()

    asyncio.run(main())


def test_one_that_was_cancelled_while_it_waited_takes_no_place() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        await budget.reserve(10)
        gone, next_one = await reserving(budget, 10), await reserving(budget, 4)
        gone.cancel()
        await turns()
        budget.release(10)
        await turns()
        assert next_one.done()
        assert budget.used == 4
        assert not budget.is_full

    asyncio.run(main())


def test_one_that_is_cancelled_in_the_moment_it_gets_its_place_gives_it_back() -> None:
    async def main() -> None:
        budget = ByteBudget(10)
        await budget.reserve(10)
        gone, next_one = await reserving(budget, 10), await reserving(budget, 4)
        budget.release(10)
        gone.cancel()
        await turns()
        assert gone.cancelled()
        assert next_one.done()
        assert budget.used == 4

    asyncio.run(main())
