"""Everything an upstream may respond: to one line or to all, for a while or forever."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from nightlane.domain.batch import BatchStatus
from tests.faults.hostile import DENIALS, FAILURES, REFUSALS, SHAPES, Outage
from tests.faults.lab import Bench, Lab, laboratory

HOUR = 3_600.0
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as shared:
        yield shared


@pytest.fixture
def lab(bench: Bench) -> Lab:
    return new_lab(bench)


def new_lab(bench: Bench, **settings: Any) -> Lab:
    bench.faults.arm()
    wide = {"shard_max_lines": 100, "requests_in_flight_per_worker": 4, "completion_window_seconds": int(DAY)}
    return Lab(bench, **(wide | settings))


def complete_batch(lab: Lab, lines: int, rounds: int = 150) -> str:
    batch_id = lab.create(lab.upload(lines, "one"), "one")
    lab.settle(rounds)
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.COMPLETED
    return batch_id


@pytest.mark.parametrize(
    ("shape", "models_listed"), [(shape, number % 2 == 0) for number, shape in enumerate(SHAPES)]
)
def test_an_outage_of_a_minute_fails_no_line(lab: Lab, shape: str, models_listed: bool) -> None:
    lab.upstream.outage = Outage(SHAPES[shape], lab.clock.now() + 60, models_listed)
    complete_batch(lab, 40)
    assert lab.upstream.in_outage < 40


@pytest.mark.parametrize("shape", [*REFUSALS, *DENIALS])
def test_an_outage_during_a_run_fails_no_line_even_if_models_are_listed(lab: Lab, shape: str) -> None:
    since = lab.clock.now() + 7
    lab.upstream.outage = Outage(SHAPES[shape], since + 60, models_listed=True, since=since)
    complete_batch(lab, 40)
    assert 0 < lab.upstream.in_outage < 60


@pytest.mark.parametrize("shape", DENIALS)
def test_ten_minutes_of_denials_do_not_fail_even_the_last_lines(lab: Lab, shape: str) -> None:
    since = lab.clock.now() + 3
    lab.upstream.outage = Outage(SHAPES[shape], since + 590, models_listed=True, since=since)
    complete_batch(lab, 8)
    # The first four were answered before.
    assert 4 <= lab.upstream.in_outage < 40


@pytest.mark.parametrize("lines", [1, 3])
def test_no_line_is_blamed_for_an_outage_even_if_all_remaining_lines_have_failed(
    lab: Lab, lines: int
) -> None:
    lab.upstream.outage = Outage(SHAPES["500"], lab.clock.now() + 60)
    complete_batch(lab, lines)
    assert lab.upstream.probes > 0


# One of them takes ten seconds: `make crash-points` runs both.
@pytest.mark.parametrize("shape", ["429", "500"] if "NIGHTLANE_EVERY_CALL" in os.environ else ["500"])
def test_an_outage_of_seventeen_hours_fails_no_line_and_costs_almost_nothing(lab: Lab, shape: str) -> None:
    batch_id = lab.create(lab.upload(40, "one"), "one")
    lab.deliver("plan")
    lab.upstream.outage = Outage(SHAPES[shape], lab.clock.now() + 17 * HOUR)
    lab.settle(rounds=1_000, step=300)
    lab.check_end()
    assert lab.batch(batch_id).completed == 39
    # Rests grow to five minutes, and each ends with one or two requests.
    assert lab.upstream.in_outage < 17 * 12 * 2.5
    assert lab.received["infer"] < 17 * 12 * 1.5


PLACES = [(3, 0), (1, 0), (60, 0), (60, 58)]
"""Lines of a batch, and which of them is bad."""


@pytest.mark.parametrize(
    ("shape", "lines", "bad"),
    [(shape, *PLACES[number % len(PLACES)]) for number, shape in enumerate(FAILURES)]
    + [("500", *place) for place in PLACES[1:]],
)
def test_a_bad_line_soon_fails_and_no_other_does(lab: Lab, shape: str, lines: int, bad: int) -> None:
    key = f"file-one/{bad}"
    lab.upstream.bad[key] = FAILURES[shape]
    lab.watch.culprits.add(key)
    batch_id = complete_batch(lab, lines)
    assert lab.upstream.asked[key] <= lab.bare.settings.line_attempts
    times = lab.upstream.asked_at[key]
    assert times[-1] - times[0] < 180
    assert lab.batch(batch_id).failed == (2 if lines > 1 else 1)


def test_a_line_that_fails_once_is_retried(lab: Lab) -> None:
    shapes = FAILURES.values()
    lab.upstream.at_first = {f"file-one/{number}": shape for number, shape in enumerate(shapes, 3)}
    batch_id = complete_batch(lab, 20)
    assert lab.batch(batch_id).completed == 19


@pytest.mark.parametrize("shape", DENIALS)
def test_a_denial_that_only_one_line_gets_is_its_fault(lab: Lab, shape: str) -> None:
    lab.upstream.bad["file-one/7"] = DENIALS[shape]
    lab.watch.culprits.add("file-one/7")
    batch_id = complete_batch(lab, 20)
    assert lab.batch(batch_id).failed == 2
    assert lab.upstream.asked["file-one/7"] == 2


@pytest.mark.parametrize("shape", ["429", "503", "a page with 403"])
def test_a_refusal_that_only_one_line_gets_is_its_fault_after_half_an_hour(lab: Lab, shape: str) -> None:
    lab.upstream.bad["file-one/7"] = SHAPES[shape]
    lab.watch.culprits.add("file-one/7")
    started_at = lab.clock.now()
    batch_id = complete_batch(lab, 40)
    assert lab.batch(batch_id).failed == 2
    assert 1_800 <= lab.clock.now() - started_at < 2 * HOUR
    assert lab.upstream.asked["file-one/7"] < 100


def test_a_limit_above_the_capacity_fails_no_line(lab: Lab) -> None:
    lab.upstream.capacity = 2
    complete_batch(lab, 40)


def test_lines_that_expire_while_waiting_say_what_the_upstream_last_answered(bench: Bench) -> None:
    lab = new_lab(bench, completion_window_seconds=int(HOUR))
    lab.upstream.outage = Outage(SHAPES["429"], lab.clock.now() + 2 * DAY, models_listed=True)
    batch_id = lab.create(lab.upload(3, "one"), "one")
    lab.settle(rounds=1_000, step=600)
    lab.check_end()
    batch = lab.batch(batch_id)
    assert batch.status is BatchStatus.EXPIRED
    messages = {line["error"]["message"] for line in lab.lines(batch.error_file_id)}
    assert len(messages) == 1
    assert "429: status 429" in messages.pop()


def test_several_bad_lines_at_the_start_are_not_mistaken_for_an_outage(lab: Lab) -> None:
    bad = {f"file-one/{number}": FAILURES["500"] for number in (0, 2, 3, 4, 5, 6)}
    lab.upstream.bad = bad
    lab.watch.culprits |= set(bad)
    batch_id = complete_batch(lab, 60)
    assert lab.batch(batch_id).failed == 7
    assert all(lab.upstream.asked[key] <= 5 for key in bad)


def test_a_line_that_takes_longer_than_an_invocation_ends_as_a_timeout(bench: Bench) -> None:
    lab = new_lab(bench, watch_seconds=100)
    lab.upstream.slow["file-one/0"] = 2_000
    lab.watch.culprits.add("file-one/0")
    batch_id = complete_batch(lab, 20)
    (line,) = [
        each for each in lab.lines(lab.batch(batch_id).error_file_id) if each["custom_id"] == "request-0"
    ]
    assert line["error"]["code"] == "request_timeout"


def test_a_batch_waiting_behind_one_with_a_bad_line_is_soon_served(lab: Lab) -> None:
    lab.upstream.bad["file-one/0"] = FAILURES["500"]
    lab.watch.culprits.add("file-one/0")
    lab.create(lab.upload(1, "one"), "one")
    second = lab.create(lab.upload(4, "two"), "two")
    started_at = lab.clock.now()
    lab.settle()
    lab.check_end()
    assert (lab.batch(second).completed_at or 0) - started_at < 240
