"""A lane is handed over while requests are in flight: two of its workers overlap, and either may die."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest

import infra.home.parts
from infra.home.database import Database
from nightlane.domain.batch import BatchStatus
from nightlane.domain.batches import cancel_batch
from tests.faults.relay import LIMIT, Death, Relay
from tests.upstream import only

LINES = 150
# Of the steps at which a worker can die, every so many are tried, and all with NIGHTLANE_EVERY_CALL.
EVERY = 1 if os.environ.get("NIGHTLANE_EVERY_CALL") else 5

Start = Callable[..., Relay]


class FastDatabase(Database):
    """A database that does not wait for the disk."""

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA synchronous=OFF")
        return connection


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    # Nothing here is about power losses.
    monkeypatch.setattr(infra.home.parts, "Database", FastDatabase)
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    numbers = count()
    with ExitStack() as stack:
        yield lambda *arguments, **settings: stack.enter_context(
            closing(Relay(tmp_path / str(next(numbers)), *arguments, **settings))
        )


def test_the_next_worker_begins_while_the_last_requests_are_in_flight(start: Start) -> None:
    relay = start()
    batch_id = relay.create(LINES)
    relay.run()
    batch = relay.batch(batch_id)
    assert (batch.status, batch.completed + batch.failed) == (BatchStatus.COMPLETED, LINES)
    assert len(relay.workers) == 2
    assert relay.upstream.overlaps > 0
    # The rest are the seconds until the next worker is there and knows what the one before has in flight.
    assert relay.upstream.used(LIMIT) > 0.98
    # Question 2 is refused at first.
    assert [key for key, times in relay.upstream.asked.items() if times > 1] == ["file-1/2"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_worker_may_die_at_any_step_of_the_handover(start: Start, number: int) -> None:
    in_handover, died = number == 1, []
    # From its first drain the first worker takes about 28 steps; its successor takes over within 60.
    for step in range(1, 28 if in_handover else 60, EVERY):
        relay = start({number: Death(step, in_handover)})
        batch_id = relay.create(LINES)
        relay.run()
        batch = relay.batch(batch_id)
        assert (batch.status, batch.completed + batch.failed) == (BatchStatus.COMPLETED, LINES)
        died.append(relay.workers[number - 1].is_dead)
    # The number of steps differs a little from run to run.
    assert all(died[: len(died) // 2])


def test_both_workers_may_die_while_they_overlap(start: Start) -> None:
    relay = start({2: Death(40)})
    batch_id = relay.create(LINES)
    relay.on_handover = lambda: relay.loop.call_later(5, relay.workers[0].die, relay.loop)
    relay.run()
    assert [worker.is_dead for worker in relay.workers[:2]] == [True, True]
    assert relay.batch(batch_id).status is BatchStatus.COMPLETED


def test_requests_in_flight_at_a_cancel_are_answered_by_both_workers(start: Start) -> None:
    relay = start()
    batch_id = relay.create(LINES)

    def cancel() -> None:
        relay.loop.call_later(3, cancel_batch, relay.ports, "acme", batch_id)

    relay.on_handover = cancel
    relay.run()
    batch = relay.batch(batch_id)
    assert batch.status is BatchStatus.CANCELLED
    assert relay.upstream.overlaps > 0
    assert batch.completed + batch.failed == len(relay.upstream.asked)


def test_a_batch_that_expires_during_a_handover_ends(start: Start) -> None:
    relay = start(completion_window_seconds=68)
    batch_id = relay.create(LINES)
    relay.run()
    assert relay.batch(batch_id).status is BatchStatus.EXPIRED
    assert relay.upstream.overlaps > 0


def test_two_batches_share_a_limit_through_their_handovers(start: Start) -> None:
    (upstream,) = only("http://127.0.0.1:9/v1")
    shared = upstream.model_copy(update={"max_concurrent_requests": 8})
    relay = start(upstreams=(shared,), max_concurrent_batches=2)
    batches = [relay.create(LINES, seed) for seed in (1, 2)]
    relay.run()
    assert [relay.batch(each).completed + relay.batch(each).failed for each in batches] == [LINES, LINES]
    assert sum(worker.handed_over_at > 0 for worker in relay.workers) >= 2


def test_without_room_for_a_second_worker_a_lane_continues_after_the_first(start: Start) -> None:
    relay = start()
    batch_id = relay.create(LINES)
    relay.max_workers = 1
    relay.run()
    assert relay.batch(batch_id).status is BatchStatus.COMPLETED
    assert relay.upstream.overlaps == 0


def test_a_lane_whose_drain_cannot_be_stored_is_handed_over_when_it_has_ended(start: Start) -> None:
    relay = start()
    batch_id = relay.create(LINES)
    relay.refused.add("put_drain")
    relay.run()
    assert relay.batch(batch_id).status is BatchStatus.COMPLETED
    assert relay.upstream.overlaps == 0


def test_a_successor_that_cannot_read_the_drains_sends_nothing(start: Start) -> None:
    relay = start()
    batch_id = relay.create(LINES)
    sent: list[int] = []

    def refuse_reads() -> None:
        relay.refused.add("drains")
        relay.loop.call_later(10, allow_reads)

    def allow_reads() -> None:
        relay.refused.clear()
        sent.append(relay.upstream.overlaps)

    relay.on_handover = refuse_reads
    relay.run()
    assert sent == [0]
    assert relay.batch(batch_id).status is BatchStatus.COMPLETED
