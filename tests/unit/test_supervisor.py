"""Who stops a run, and when, by a clock that the test turns."""

import asyncio
from dataclasses import dataclass, field

import pytest

from nightlane.domain.batch import Batch, BatchRequest, BatchStatus, Outcome
from nightlane.domain.inference import supervisor as module
from nightlane.domain.inference.supervisor import (
    LAST_COMMIT_SECONDS,
    SLOWEST_FACTOR,
    WIND_DOWN_SECONDS,
    Limits,
    Stop,
    Supervisor,
)

EXPIRES_AT = 10_000.0
DEADLINE = 900.0
GRACE = 100.0


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

    def look(self) -> tuple[Stop | None, list[str]]:
        self.supervisor.look()
        return self.supervisor.stop, self.events


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_while_there_is_time_a_run_goes_on(scene: Scene) -> None:
    scene.now, scene.monotonic = EXPIRES_AT - 0.1, DEADLINE - WIND_DOWN_SECONDS - 0.1
    assert scene.look() == (None, [])
    scene.supervisor.on_batch(batch())
    assert scene.look() == (None, [])
    assert scene.supervisor.may_start()
    assert scene.supervisor.may_commit


def test_a_minute_before_the_deadline_nothing_starts_and_shortly_before_it_all_is_given_up(
    scene: Scene,
) -> None:
    scene.monotonic = DEADLINE - WIND_DOWN_SECONDS
    assert scene.look() == (Stop.OUT_OF_TIME, ["halt"])
    assert not scene.supervisor.may_start()
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS - 0.1
    assert scene.look() == (Stop.OUT_OF_TIME, ["halt"])
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS
    assert scene.look() == (Stop.OUT_OF_TIME, ["halt", "abort"])
    assert scene.supervisor.may_commit
    assert scene.look() == (Stop.OUT_OF_TIME, ["halt", "abort"])
    scene.monotonic = DEADLINE
    assert not scene.supervisor.may_commit


def test_what_lasts_long_is_not_started_when_it_would_not_fit(scene: Scene) -> None:
    scene.supervisor.slowest = 200.0
    scene.monotonic = DEADLINE - 200 * SLOWEST_FACTOR - 0.1
    assert scene.look() == (None, [])
    scene.monotonic += 0.1
    assert scene.look() == (Stop.OUT_OF_TIME, ["halt"])


def test_at_its_expiry_a_batch_is_given_up(scene: Scene) -> None:
    scene.now = EXPIRES_AT
    assert scene.look() == (Stop.EXPIRED, ["halt", "abort"])


def test_nothing_starts_after_the_expiry_though_the_tick_is_late(scene: Scene) -> None:
    scene.now = EXPIRES_AT
    assert not scene.supervisor.may_start()
    assert (scene.supervisor.stop, scene.events) == (Stop.EXPIRED, ["halt"])


def test_a_lost_lease_ends_everything_whatever_was_before(scene: Scene) -> None:
    scene.supervisor.halt(Stop.UPSTREAM_DOWN)
    scene.is_held = False
    assert scene.look() == (Stop.REPLACED, ["halt", "abort"])
    assert not scene.supervisor.may_commit


def test_nothing_starts_without_a_lease_though_the_tick_is_late(scene: Scene) -> None:
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
def test_a_batch_that_was_closed_is_nobodys_any_more(scene: Scene, found: Batch | None) -> None:
    scene.supervisor.on_batch(found)
    assert (scene.supervisor.stop, scene.events) == (Stop.REPLACED, ["abort"])


def test_a_cancelled_batch_drains_until_its_grace_ends(scene: Scene) -> None:
    scene.supervisor.on_batch(batch(BatchStatus.CANCELLING))
    scene.supervisor.on_batch(batch(BatchStatus.CANCELLING))
    assert (scene.supervisor.stop, scene.events) == (Stop.CANCELLED, ["halt"])
    assert not scene.supervisor.may_start()
    scene.now = 5_000 + GRACE - LAST_COMMIT_SECONDS - 0.1
    assert scene.look() == (Stop.CANCELLED, ["halt"])
    scene.now += 0.1
    assert scene.look() == (Stop.CANCELLED, ["halt", "abort"])


@pytest.mark.parametrize("reason", [Stop.UPSTREAM_DOWN, Stop.REFUSED_ALONE])
def test_a_run_that_halts_for_its_upstream_keeps_that_reason(scene: Scene, reason: Stop) -> None:
    scene.supervisor.halt(reason)
    scene.supervisor.halt(Stop.CANCELLED)
    scene.monotonic = DEADLINE - WIND_DOWN_SECONDS
    assert scene.look() == (reason, ["halt"])
    scene.monotonic = DEADLINE - LAST_COMMIT_SECONDS
    assert scene.look() == (reason, ["halt", "abort"])


def test_the_clock_is_looked_at_every_tick(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
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
