"""The mock refuses or queues what is too much, as configured, and may be changed while it runs."""

import asyncio
import urllib.error

import pytest

from bench.batches import bodies
from infra.cli.mock.gate import Capacity, Gate, Refused
from infra.cli.mock.process import MockUpstream


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def admits(gate: Gate, in_flight: int = 1) -> bool:
    async def enter() -> bool:
        try:
            async with gate.enter(in_flight):
                return True
        except Refused:
            return False

    return asyncio.run(enter())


def test_it_refuses_more_requests_than_its_capacity_which_may_change() -> None:
    gate = Gate(Capacity(rate_limit=3), Clock())
    assert [admits(gate, in_flight) for in_flight in (1, 3, 4)] == [True, True, False]
    gate.set(Capacity(rate_limit=1))
    assert [admits(gate, in_flight) for in_flight in (1, 2)] == [True, False]


def test_it_refuses_what_exceeds_a_rate_after_a_burst_of_one_second() -> None:
    clock = Clock()
    gate = Gate(Capacity(requests_per_second=2), clock)
    assert [admits(gate) for _ in range(4)] == [True, True, False, False]
    clock.now = 0.5
    assert [admits(gate) for _ in range(2)] == [True, False]
    clock.now = 60
    assert [admits(gate) for _ in range(3)] == [True, True, False]


def test_it_queues_what_exceeds_its_slots() -> None:
    async def main() -> list[int]:
        gate, served, most, free = Gate(Capacity(slots=2), Clock()), 0, [], asyncio.Event()

        async def serve() -> None:
            nonlocal served
            async with gate.enter(1):
                served += 1
                most.append(served)
                await free.wait()
                served -= 1

        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(serve())
            await asyncio.sleep(0)
            assert most == [1, 2]
            free.set()
        return most

    most = asyncio.run(main())
    assert (len(most), max(most)) == (6, 2)


@pytest.mark.parametrize("seconds", [0, 7])
def test_a_refusal_says_how_long_to_wait_unless_that_is_left_out(seconds: int) -> None:
    with MockUpstream() as upstream:
        upstream.ask(next(bodies(1)))
        upstream.set_capacity(Capacity(requests_per_second=0.001, retry_after=seconds))
        with pytest.raises(urllib.error.HTTPError) as refused:
            upstream.ask(next(bodies(1)))
        with refused.value as error:
            assert error.code == 429
            assert error.headers.get("Retry-After") == (str(seconds) if seconds else None)
        statistics = upstream.statistics()
        assert (statistics["answered"], statistics["refused"]) == (1, 1)
