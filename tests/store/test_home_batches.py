"""Whole batches on SQLite and a folder, with processes that die between two steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import infra.home.deliveries
from infra.home.queues import Queue
from nightlane.domain.batch import BatchStatus
from nightlane.domain.errors import StorageFull
from nightlane.domain.sweeping import sweep
from nightlane.lease import Lease
from tests.store.machine import Killed, OneMachine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    made = OneMachine(tmp_path)
    yield made
    made.close()


def test_a_batch_runs_to_its_end_and_its_results_outlive_the_process(machine: OneMachine) -> None:
    batch_id = machine.create(25)
    machine.work()
    machine.restart()
    batch = machine.batch(batch_id)
    assert (batch.status, batch.completed, batch.usage.total_tokens) == (BatchStatus.COMPLETED, 25, 25)
    assert machine.answers(batch_id) == [f"request-{number}" for number in range(25)]
    assert machine.upstream.asked == 25
    assert list(machine.folder.glob("objects/work/**/*.jsonl")) == []


def test_a_batch_goes_on_where_killed_processes_left_it(machine: OneMachine) -> None:
    batch_id = machine.create(25)
    machine.upstream.deadly = {3, 14, 15, 30}
    kills = 0
    while not machine.batch(batch_id).status.is_terminal:
        try:
            machine.work()
        except (Killed, BaseExceptionGroup):
            kills += 1
            machine.restart()
        # The lease of the process that died runs out.
        machine.skipped += machine.ports.settings.worker_lease_seconds + 1
        sweep(machine.ports)
    assert kills >= 3
    assert machine.batch(batch_id).completed == 25
    assert machine.answers(batch_id) == [f"request-{number}" for number in range(25)]
    # Whatever was in flight or not committed yet is asked again, and no more.
    assert machine.upstream.asked <= 25 + kills * 10


def test_a_lease_that_a_full_disk_keeps_from_being_extended_is_tried_again(
    machine: OneMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    extended: list[bool] = []
    hide = machine.queues.hide

    def no_room_once(*arguments: Any) -> bool:
        if not extended:
            monkeypatch.setattr(machine.queues, "hide", hide)
            raise StorageFull("full")
        return hide(*arguments)

    class ExtendedTwice(Lease):
        """As its thread would."""

        def __enter__(self) -> Lease:
            extended.extend((self._extend(5), self._extend(5)))
            return super().__enter__()

    monkeypatch.setattr(infra.home.deliveries, "Lease", ExtendedTwice)
    monkeypatch.setattr(machine.queues, "hide", no_room_once)
    machine.create(3)
    assert machine.deliveries.deliver(Queue.PLAN)
    assert extended == [False, True]
