"""Runs small batches with a fault at each of their AWS calls in turn.

The calls are not listed anywhere: a run without faults counts them, so a new call in the code
automatically becomes another crash point.
"""

import os
import random
from collections.abc import Callable, Iterator
from functools import cache
from itertools import takewhile
from typing import Any

import pytest

from nightlane.domain.batch import BatchStatus
from nightlane.domain.file import FilePurpose
from tests.faults.faults import READS, Fault
from tests.faults.lab import Bench, Lab, laboratory
from tests.upstream import ONLY, only
from tests.world import TENANT

# Short, because a worker that waits reads its batch every few seconds, and each read is a crash point.
INVOCATION_SECONDS = 100.0
LONGER_THAN_AN_INVOCATION = 200.0


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as shared:
        yield shared


def completed(lab: Lab, deliveries: int = 1) -> None:
    """Several shards, two lanes, an error line and a retry."""
    first = lab.create(lab.upload(4, "first"), "first")
    while lab.round(deliveries):
        pass
    lab.sweep()
    lab.settle()
    assert lab.create("file-first", "first") == first
    lab.check_end()
    assert lab.batch(first).status is BatchStatus.COMPLETED
    # A batch whose creation was frozen may complete before anything is known about it.
    assert len(lab.upstream.committed) == 4 or lab.faults.fault is Fault.FREEZE


def grouped(lab: Lab, deliveries: int = 1) -> None:
    """A batch whose lines are sent in another order."""
    batch_id = lab.create(lab.upload(4, "first", prompts=2), "first")
    while lab.round(deliveries):
        pass
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.COMPLETED
    # A batch whose creation was frozen may complete before anything is known about it.
    if lab.faults.fault is not Fault.FREEZE:
        assert lab.watch.manifest(lab.batch(batch_id)).order_key is not None
        assert len(lab.upstream.committed) == 4


def cancelled(lab: Lab, deliveries: int = 1) -> None:
    """A batch that is cancelled while it runs."""
    batch_id = lab.create(lab.upload(4, "first"), "first")
    lab.world.context_seconds = INVOCATION_SECONDS
    lab.upstream.slow = {"file-first/3": LONGER_THAN_AN_INVOCATION}
    lab.deliver("plan", deliveries)
    lab.deliver("infer", deliveries)
    lab.cancel(batch_id)
    lab.upstream.slow = {}
    while lab.round(deliveries):
        pass
    lab.settle()
    lab.check_end()
    # While the API is frozen, workers wait for the slow line until the batch expires.
    may_end = {BatchStatus.EXPIRED} if lab.faults.fault is Fault.FREEZE else set()
    assert lab.batch(batch_id).status in {BatchStatus.CANCELLED, BatchStatus.COMPLETED} | may_end


def expired(lab: Lab, deliveries: int = 1) -> None:
    """A batch that expires while it runs, and one that expires while it waits."""
    # From the beginning: while the second create is frozen, others must not complete the first one.
    lab.world.context_seconds = INVOCATION_SECONDS
    lab.upstream.slow = {"file-first/2": LONGER_THAN_AN_INVOCATION}
    ids = [lab.create(lab.upload(3, name), name) for name in ("first", "second")]
    lab.deliver("plan", deliveries)
    lab.deliver("plan", deliveries)
    lab.deliver("infer", deliveries)
    lab.pass_time(3_606)
    lab.sweep()
    lab.settle()
    lab.check_end()
    # While a function is frozen, others may find the time to complete the first one.
    may_end = {BatchStatus.COMPLETED} if lab.faults.fault is Fault.FREEZE else set()
    assert {lab.batch(each).status for each in ids} - may_end == {BatchStatus.EXPIRED}


def shared(lab: Lab, deliveries: int = 1) -> None:
    """Two batches at once that share the limit of their upstream."""
    ids = [lab.create(lab.upload(4, name), name) for name in ("first", "second")]
    while lab.round(deliveries):
        pass
    lab.settle()
    lab.check_end()
    assert {lab.batch(each).status for each in ids} == {BatchStatus.COMPLETED}
    # Each run has given up its share; those of crashed ones and of frozen ones expire.
    if lab.faults.fault is None:
        assert lab.bare.upstreams.get_shares(ONLY).lanes == {}


def retried(lab: Lab, deliveries: int = 1) -> None:
    """A batch of requests without a file, cancelled before it runs, and the retry of its lines."""
    first = lab.create_inline(2, "first")
    lab.deliver("plan", deliveries)
    lab.cancel(first)
    lab.settle()
    if lab.batch(first).error_file_id is None:
        # After a fault it may be cancelled before it is planned.
        assert lab.batch(first).total == 0
        assert lab.faults.fault is not None
    else:
        second = lab.retry(first, "second")
        while lab.round(deliveries):
            pass
        lab.settle()
        assert lab.retry(first, "second") == second
        assert lab.batch(second).status is BatchStatus.COMPLETED
    assert lab.create_inline(2, "first") == first
    lab.check_end()
    files = lab.bare.files.list_files(TENANT, [FilePurpose.BATCH], None, 9, 0, newest_first=True)
    assert [file.id for file in files] == [lab.batch(first).request.input_file_id]


# `make test` breaks one call in this many, each fault at different calls. `make crash-points` and
# `make faults` break all of them.
ONE_IN = {"completed": 30, "grouped": 80, "cancelled": 80, "expired": 80, "shared": 200, "retried": 150}
EVERY_CALL = "NIGHTLANE_EVERY_CALL" in os.environ
# Others share most of their code with stories that `make test` breaks in every way.
FAULTS = {"retried": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)}
STORIES: dict[str, Callable[..., None]] = {
    "completed": completed,
    "grouped": grouped,
    "cancelled": cancelled,
    "expired": expired,
    "shared": shared,
    "retried": retried,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "shared": {
        "max_concurrent_batches": 2,
        "upstreams": only("http://127.0.0.1:9/v1", max_concurrent_requests=3),
    }
}


def relevant_calls(names: list[str], fault: Fault) -> list[int]:
    """Return where a fault makes a difference: after a read it would be the same as before the next call."""
    return [
        at
        for at, name in enumerate(names, start=1)
        if not (fault is Fault.LOST and not name.startswith("sqs:Send"))
        and not (fault in (Fault.CRASH_AFTER, Fault.REPEATED) and name.split(":")[1] in READS)
    ]


def count_shared(name: str, names: list[str], first: list[str]) -> int:
    """Return how many calls a story shares with the first one, in which they are already broken."""
    shared = zip(names, first, strict=False)
    return 0 if name == "completed" else sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], shared))


def run_story(
    bench: Bench, name: str, at: int = 0, fault: Fault | None = None, deliveries: int = 1
) -> list[str]:
    """Run a story with one fault and return the names of the calls."""
    bench.faults.arm(at, fault)
    # The sweeper goes through the batches in random order, which must be the same in every run.
    random.seed(0)
    STORIES[name](Lab(bench, **SETTINGS.get(name, {})), deliveries)
    return bench.faults.names


@cache
def count_calls(bench: Bench, name: str) -> list[str]:
    """Return the names of the calls of a story without a fault."""
    return run_story(bench, name)


def failure_of(bench: Bench, name: str, at: int, fault: Fault) -> str | None:
    try:
        run_story(bench, name, at, fault)
    except AssertionError as error:
        return f"{fault.name} at call {at}, {bench.faults.names[at - 1]}: {error}"
    return None


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in STORIES for fault in Fault if EVERY_CALL or fault in FAULTS.get(name, Fault)],
)
def test_every_call_may_fail(
    bench: Bench, name: str, fault: Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    names = count_calls(bench, name)
    shared = count_shared(name, names, count_calls(bench, "completed"))
    points = [at for at in relevant_calls(names, fault) if at > shared]
    if not EVERY_CALL:
        one_in = min(ONE_IN[name], len(points))
        points = points[list(Fault).index(fault) % one_in :: one_in]
    failures = [failure for at in points if (failure := failure_of(bench, name, at, fault))]
    with capsys.disabled():
        print(f"\n{name}, {fault.name}: survived {len(points) - len(failures)}/{len(points)}", end=" ")
    assert failures == []
    assert points


@pytest.mark.parametrize("name", STORIES)
def test_every_message_may_be_delivered_twice(bench: Bench, name: str) -> None:
    assert len(run_story(bench, name, deliveries=2)) > len(run_story(bench, name))
