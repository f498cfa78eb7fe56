"""When the supervisor stops a run, on a clock that the test controls."""

import asyncio
from dataclasses import dataclass, field

import pytest

from nightlane.domain.batch import Batch, BatchRequest, BatchStatus, Outcome
from nightlane.domain.inference import supervisor as module
from nightlane.domain.inference.supervisor import (
    LAST_COMMIT_SECONDS,
    MEAN_FACTOR,
    SLOWEST_FACTOR,
    UNKNOWN_LATENCY_SECONDS,
    Limits,
    Stop,
    Supervisor,
)

EXPIRES_AT = 10_000.0
DEADLINE = 900.0
GRACE = 100.0
WIND_DOWN_SECONDS = LAST_COMMIT_SECONDS + UNKNOWN_LATENCY_SECONDS


def batch(status: BatchStatus = BatchStatus.IN_PROGRESS, outcome: Outcome | None = None) -> Batch:
    return Batch(
        id="batch_1",
        tenant="acme",
        request=BatchRequest(input_file_id="file-1", endpoint="/v1/completions", completion_window="24h"),
        status=status,
        listed="1",
        created_at=0,
        expires_at=int(EXPIRES_AT),
        cancelling_at=5_000 if status is BatchStatus.CANCELLING else None,
        outcome=outcome,
    )


@dataclass
class Scene:
    """A supervisor, its lease and its clocks."""

    is_held: bool = True
    now: float = 5_000.0
    monotonic: float = 0.0
    events: list[str] = field(default_factory=list)
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        limits = Limits(EXPIRES_AT, DEADLINE, GRACE)
        self.supervisor = Supervisor(limits, self, lambda: self.now, lambda: self.monotonic)
        self.supervisor.on_halt = lambda: self.events.append("halt")
        self.supervisor.on_abort = lambda: self.events.append("abort")

    def check(self) -> tuple[Stop | None, list[str]]:
        self.supervisor.check()
        return self.supervisor.stop, self.events


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_run_continues_while_there_is_time(scene: Scene) -> None:
    scene.now, scene.monotonic = EXPIRES_AT - 0.1, DEADLINE - WIND_DOWN_SECONDS - 0.1
    assert scene.check() == (None, [])
    scene.supervisor.on_batch(batch())
    assert scene.check() == (None, [])
    assert scene.supervisor.may_start()
    assert scene.supervisor.may_commit


def test_a_run_halts_a_minute_before_the_deadline_and_aborts_shortly_before_it(
    scene: Scene,
) -> None:
    scene.monotonic = DEADLINE - WIND_DOWN_SECONDS
    assert scene.check() == (Stop.OUT_OF_TIME, ["halt"])
    assert not scene.supervisor.may_start()
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS - 0.1
    assert scene.check() == (Stop.OUT_OF_TIME, ["halt"])
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS
    assert scene.check() == (Stop.OUT_OF_TIME, ["halt", "abort"])
    assert scene.supervisor.may_commit
    assert scene.check() == (Stop.OUT_OF_TIME, ["halt", "abort"])
    scene.monotonic = DEADLINE
    assert not scene.supervisor.may_commit


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        pytest.param([200.0], 200 * SLOWEST_FACTOR, id="slow"),
        pytest.param([2.0, 2.0], 2 * SLOWEST_FACTOR, id="fast"),
        pytest.param([2.0] * 9 + [92.0], 11 * MEAN_FACTOR, id="with an outlier"),
    ],
)
def test_a_run_halts_as_early_as_its_requests_need(
    scene: Scene, latencies: list[float], expected: float
) -> None:
    for seconds in latencies:
        scene.supervisor.on_answer(seconds)
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS - expected - 0.1
    assert scene.check() == (None, [])
    scene.monotonic += 0.1
    assert scene.check() == (Stop.OUT_OF_TIME, ["halt"])


def test_a_run_aborts_when_its_batch_expires(scene: Scene) -> None:
    scene.now = EXPIRES_AT
    assert scene.check() == (Stop.EXPIRED, ["halt", "abort"])


def test_nothing_starts_after_the_expiry_even_if_the_tick_is_late(scene: Scene) -> None:
    scene.now = EXPIRES_AT
    assert not scene.supervisor.may_start()
    assert (scene.supervisor.stop, scene.events) == (Stop.EXPIRED, ["halt"])


def test_a_lost_lease_aborts_even_a_halted_run(scene: Scene) -> None:
    scene.supervisor.halt(Stop.UPSTREAM_DOWN)
    scene.is_held = False
    assert scene.check() == (Stop.REPLACED, ["halt", "abort"])
    assert not scene.supervisor.may_commit


def test_nothing_starts_without_a_lease_even_if_the_tick_is_late(scene: Scene) -> None:
    scene.is_held = False
    assert not scene.supervisor.may_start()
    assert (scene.supervisor.stop, scene.events) == (Stop.REPLACED, ["abort"])


@pytest.mark.parametrize(
    "found",
    [
        None,
        batch(outcome=Outcome.EXPIRED),
        batch(BatchStatus.FINALIZING, Outcome.COMPLETED),
        batch(BatchStatus.CANCELLING, Outcome.CANCELLED),
        batch(BatchStatus.CANCELLED, Outcome.CANCELLED),
    ],
    ids=["gone", "closed", "finalizing", "cancelled", "ended"],
)
def test_a_run_aborts_when_its_batch_is_closed(scene: Scene, found: Batch | None) -> None:
    scene.supervisor.on_batch(found)
    assert (scene.supervisor.stop, scene.events) == (Stop.REPLACED, ["abort"])


def test_a_cancelled_batch_drains_until_its_grace_ends(scene: Scene) -> None:
    scene.supervisor.on_batch(batch(BatchStatus.CANCELLING))
    scene.supervisor.on_batch(batch(BatchStatus.CANCELLING))
    assert (scene.supervisor.stop, scene.events) == (Stop.CANCELLED, ["halt"])
    assert not scene.supervisor.may_start()
    scene.now = 5_000 + GRACE - LAST_COMMIT_SECONDS - 0.1
    assert scene.check() == (Stop.CANCELLED, ["halt"])
    scene.now += 0.1
    assert scene.check() == (Stop.CANCELLED, ["halt", "abort"])


@pytest.mark.parametrize("reason", [Stop.UPSTREAM_DOWN, Stop.REFUSED_ALONE])
def test_a_run_halted_because_of_its_upstream_keeps_that_reason(scene: Scene, reason: Stop) -> None:
    scene.supervisor.halt(reason)
    scene.supervisor.halt(Stop.CANCELLED)
    scene.monotonic = DEADLINE - WIND_DOWN_SECONDS
    assert scene.check() == (reason, ["halt"])
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS
    assert scene.check() == (reason, ["halt", "abort"])


def test_the_clock_is_checked_at_every_tick(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)

    async def main() -> None:
        aborted = asyncio.Event()
        scene.supervisor.on_abort = aborted.set
        watching = asyncio.create_task(scene.supervisor.watch())
        await asyncio.sleep(0.01)
        assert scene.events == []
        scene.now = EXPIRES_AT
        await asyncio.wait_for(aborted.wait(), 5)
        watching.cancel()

    asyncio.run(main())
    assert scene.supervisor.stop is Stop.EXPIRED
