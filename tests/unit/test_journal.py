"""Results that were paid for are committed exactly once, whatever is cancelled or fails meanwhile."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nightlane.domain.batch import Usage
from nightlane.domain.inference import journal as module
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.journal import Journal
from nightlane.domain.inference.results import Result
from nightlane.domain.parts import Record, read_records
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Checkpoint, DoneLines, Shard, Suspicion
from nightlane.domain.stores import Fenced
from nightlane.settings import Settings

LINES = 20


class StoreDown(Exception):
    """The store cannot be reached."""


@dataclass
class Table:
    """One shard as the table stores it, and the blobs; `faults` says what happens to each commit."""

    shard: Shard
    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: list[Checkpoint] = field(default_factory=list)
    completed: int = 0
    released: list[Mapping[int, Suspicion]] = field(default_factory=list)
    wait: Callable[[], object] = lambda: None

    def put(self, key: str, data: bytes) -> None:
        assert self.blobs.setdefault(key, data) == data, f"{key} was overwritten with different data"

    def commit_checkpoint(self, shard: Shard, checkpoint: Checkpoint) -> Shard:
        self.commits.append(checkpoint)
        self.wait()
        fault = next(self.faults, "")
        if fault == "before":
            raise StoreDown
        if shard.epoch != self.shard.epoch:
            raise Fenced
        if self.shard.commits == shard.commits:
            parts = (checkpoint.part,) if checkpoint.part else ()
            self.shard = replace(
                shard,
                commits=shard.commits + 1,
                done=checkpoint.done,
                parts=shard.parts + parts,
                suspicions=checkpoint.suspicions,
                finished=checkpoint.finished,
            )
            self.completed += checkpoint.completed
        elif self.shard.commits != shard.commits + 1:
            raise Fenced
        if fault == "after":
            raise StoreDown
        return self.shard

    def release_shard(self, _shard: Shard, suspicions: Mapping[int, Suspicion]) -> None:
        self.released.append(suspicions)

    def add(self, *_: object, **__: object) -> None:
        """Ignore metrics."""

    def lines(self) -> list[int]:
        """Return the lines of all committed parts."""
        keys = [part.key for part in self.shard.parts]
        return sorted(record.line for key in keys for record in read_records([self.blobs[key]]))


def result(line: int, size: int = 10) -> Result:
    return Result(Record(line, True, b"x" * (size - 1) + b"\n"), Usage(1, 0, 1, 0, 2), "m")


def build_journal(
    table: Table,
    budget: ByteBudget | None = None,
    on_due: Callable[[], None] = lambda: None,
    **settings: Any,
) -> Journal:
    ports = Ports(
        batches=table,  # type: ignore[arg-type]
        blobs=table,  # type: ignore[arg-type]
        metrics=table,  # type: ignore[arg-type]
        settings=Settings(**settings),
        now=itertools.count().__next__,
        monotonic=lambda: 0.0,
        **dict.fromkeys(  # type: ignore[arg-type]
            (
                *("upstreams", "files", "uploads", "quotas", "compositions", "queues", "webhooks"),
                *("log", "new_id"),
            )
        ),
    )
    return Journal(ports, table.shard, LINES, budget, lambda: {7: Suspicion(failures=2)}, on_due)


@pytest.fixture
def table() -> Table:
    return Table(Shard(batch_id="batch_1", index=0, epoch=1))


def test_results_count_once_they_are_committed(table: Table) -> None:
    async def main() -> None:
        journal = build_journal(table)
        journal.add(result(3))
        journal.add(result(1))
        assert journal.done.count == 0
        await journal.flush()
        assert journal.done.count == 2
        assert journal.shard == table.shard
        await journal.flush()
        assert len(table.commits) == 1

    asyncio.run(main())
    assert table.lines() == [1, 3]
    (checkpoint,) = table.commits
    assert (checkpoint.completed, checkpoint.usage, checkpoint.model) == (2, Usage(2, 0, 2, 0, 4), "m")
    assert checkpoint.suspicions == {7: Suspicion(failures=2)}
    assert not checkpoint.finished


def test_the_last_line_finishes_the_shard_without_a_release(table: Table) -> None:
    async def main() -> None:
        journal = build_journal(table)
        for line in range(LINES):
            journal.add(result(line))
        await journal.finish(finished=False)

    asyncio.run(main())
    assert table.shard.finished
    assert table.released == []


@pytest.mark.parametrize("lines", [0, 3])
def test_a_shard_that_should_not_run_again_is_finished_even_with_lines_left(table: Table, lines: int) -> None:
    async def main() -> None:
        journal = build_journal(table)
        for line in range(lines):
            journal.add(result(line))
        await journal.finish(finished=True)

    asyncio.run(main())
    assert (table.shard.finished, table.shard.commits, table.lines()) == (True, 1, list(range(lines)))


def test_a_shard_that_will_continue_is_released_with_its_suspicions(table: Table) -> None:
    async def main() -> None:
        journal = build_journal(table)
        journal.add(result(0))
        await journal.finish(finished=False)

    asyncio.run(main())
    assert table.lines() == [0]
    assert table.released == [{7: Suspicion(failures=2)}]


def test_a_commit_is_due_when_there_are_enough_results_or_memory_is_full(table: Table) -> None:
    async def main() -> None:
        budget, due = ByteBudget(1_000), asyncio.Event()
        journal = build_journal(table, budget, due.set, checkpoint_bytes=100)
        for line in range(9):
            journal.add(result(line))
        assert not due.is_set()
        journal.add(result(9))
        assert due.is_set()
        assert budget.used == 100
        due.clear()
        await journal.flush()
        assert budget.used == 0
        budget.take(995)
        journal.add(result(10))
        assert due.is_set()

    asyncio.run(main())


def test_a_flush_cancelled_at_the_end_of_the_run_loses_no_line(table: Table) -> None:
    entered, proceed = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert proceed.wait(10)

    table.wait = wait

    async def main() -> None:
        journal = build_journal(table)
        journal.add(result(0))
        flushing = asyncio.create_task(journal.flush())
        await asyncio.to_thread(entered.wait, 10)
        journal.add(result(1))
        flushing.cancel()
        finishing = asyncio.create_task(journal.finish(finished=False))
        await asyncio.sleep(0.01)
        assert flushing.cancelled()
        assert not finishing.done()
        proceed.set()
        await asyncio.wait_for(finishing, 10)

    asyncio.run(main())
    assert table.lines() == [0, 1]
    assert [checkpoint.completed for checkpoint in table.commits] == [1, 1]
    assert table.completed == 2


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_failed_commit_is_repeated_unchanged_and_its_results_are_kept(table: Table, fault: str) -> None:
    table.faults = iter([fault])

    async def main() -> None:
        journal = build_journal(table)
        journal.add(result(0))
        with pytest.raises(StoreDown):
            await journal.flush()
        assert journal.done.count == 0
        journal.add(result(1))
        await journal.flush()
        assert journal.done.count == 2

    asyncio.run(main())
    first, repeated, second = table.commits
    assert repeated == first
    assert second.part is not None
    assert table.lines() == [0, 1]
    assert (table.completed, table.shard.commits) == (2, 2)


def test_a_failed_last_commit_is_repeated_as_the_last_commit(table: Table) -> None:
    for fault in ("before", "after"):
        table.shard = Shard(batch_id="batch_1", index=0, epoch=1)
        table.blobs, table.completed, table.faults = {}, 0, iter([fault])

        async def main() -> None:
            journal = build_journal(table)
            journal.add(result(0))
            with pytest.raises(StoreDown):
                await journal.finish(finished=True)
            await journal.finish(finished=True)

        asyncio.run(main())
        assert (table.shard.finished, table.completed, table.lines()) == (True, 1, [0])


def test_the_last_commit_is_retried_while_that_is_allowed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    table.faults = iter(["before", "after", "before"])
    left = iter([True, True, True])

    async def main() -> None:
        journal = build_journal(table)
        journal.add(result(0))
        await journal.finish(finished=False, may_retry=lambda: next(left))

    asyncio.run(main())
    assert len(table.commits) == 4
    assert (table.completed, table.lines()) == (1, [0])
    assert len(table.released) == 1


def test_the_last_commit_is_not_retried_when_there_is_no_time_left(table: Table) -> None:
    table.faults = iter(["before"])

    async def main() -> None:
        journal = build_journal(table)
        journal.add(result(0))
        with pytest.raises(StoreDown):
            await journal.finish(finished=False, may_retry=lambda: False)

    asyncio.run(main())
    assert table.released == []


def test_a_replaced_worker_is_fenced_and_does_not_retry(table: Table) -> None:
    async def main() -> None:
        journal = build_journal(table)
        table.shard = replace(table.shard, epoch=2)
        journal.add(result(0))
        with pytest.raises(Fenced):
            await journal.flush()
        with pytest.raises(Fenced):
            await journal.finish(finished=False, may_retry=lambda: True)

    asyncio.run(main())
    assert table.released == []
    assert table.completed == 0


STEPS = st.sampled_from(["add", "add", "flush", "cancel", "turn"])


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=30),
    faults=st.lists(st.sampled_from(["", "", "before", "after"]), max_size=10),
)
def test_every_line_is_committed_once_whatever_happens(steps: list[str], faults: list[str]) -> None:
    table = Table(Shard(batch_id="batch_1", index=0, epoch=1), iter(faults))
    budget = ByteBudget(10_000)

    async def main() -> int:
        journal, lines = build_journal(table, budget), iter(range(LINES))
        flushes: list[asyncio.Task[None]] = []
        added = 0
        for step in steps:
            match step:
                case "add" if (line := next(lines, None)) is not None:
                    journal.add(result(line))
                    added += 1
                case "flush":
                    flushes.append(asyncio.create_task(journal.flush()))
                case "cancel" if flushes:
                    flushes[-1].cancel()
                case _:
                    await asyncio.sleep(0.0005)
        await asyncio.gather(*flushes, return_exceptions=True)
        while True:
            try:
                await journal.finish(finished=False)
                break
            except StoreDown:
                pass
        assert bytes(journal.done) == bytes(DoneLines(LINES, table.shard.done))
        return added

    added = asyncio.run(main())
    assert table.lines() == list(range(added))
    assert table.completed == added
    assert budget.used == 0
