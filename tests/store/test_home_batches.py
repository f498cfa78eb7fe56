"""Whole batches on SQLite and a folder, with processes that are killed between two steps."""

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


def test_a_batch_completes_and_its_results_survive_a_restart(machine: OneMachine) -> None:
    batch_id = machine.create(25)
    machine.work()
    machine.restart()
    batch = machine.batch(batch_id)
    assert (batch.status, batch.completed, batch.usage.total_tokens) == (BatchStatus.COMPLETED, 25, 25)
    assert machine.output_ids(batch_id) == [f"request-{number}" for number in range(25)]
    assert machine.upstream.received == 25
    assert list(machine.folder.glob("objects/work/**/*.jsonl")) == []


def test_a_batch_continues_after_its_processes_are_killed(machine: OneMachine) -> None:
    batch_id = machine.create(25)
    machine.upstream.kill_at = {3, 14, 15, 30}
    kills = 0
    while not machine.batch(batch_id).status.is_terminal:
        try:
            machine.work()
        except (Killed, BaseExceptionGroup):
            kills += 1
            machine.restart()
        # The lease of the killed process expires.
        machine.clock_offset += machine.ports.settings.worker_lease_seconds + 1
        sweep(machine.ports)
    assert kills >= 3
    assert machine.batch(batch_id).completed == 25
    assert machine.output_ids(batch_id) == [f"request-{number}" for number in range(25)]
    # Only requests that were in flight or not yet committed are repeated.
    assert machine.upstream.received <= 25 + kills * 10


def test_extending_a_lease_is_retried_after_a_full_disk(
    machine: OneMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    extended: list[bool] = []
    hide = machine.queues.hide

    def full_once(*arguments: Any) -> bool:
        if not extended:
            monkeypatch.setattr(machine.queues, "hide", hide)
            raise StorageFull("full")
        return hide(*arguments)

    class ExtendedTwice(Lease):
        """Extends the lease twice, as its thread would."""

        def __enter__(self) -> Lease:
            extended.extend((self._extend(5), self._extend(5)))
            return super().__enter__()

    monkeypatch.setattr(infra.home.deliveries, "Lease", ExtendedTwice)
    monkeypatch.setattr(machine.queues, "hide", full_once)
    machine.create(3)
    assert machine.deliveries.deliver(Queue.PLAN)
    assert extended == [False, True]
