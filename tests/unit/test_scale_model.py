"""The model behind docs/cost-and-scale.md, against measured calls and against the simulation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench import scale, tables
from bench.bill import bill
from bench.limits import ADMISSION_PARTITION, ASSEMBLE, SHARD_SIZE, Load, demand, most_batches_a_day
from bench.result import RESULTS, load
from bench.scale_model import (
    DAY,
    Shape,
    attempts_a_transaction,
    invocations_of,
    run_of,
    waiting_seconds,
)
from bench.simulation import Overheads, Simulation
from infra import cost
from infra.cost import (
    SHARD_START_SECONDS,
    assemble_seconds,
    calls_of,
    commits_of,
    observed_run,
    shard_item_bytes,
)
from nightlane.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "cost-and-scale.md"
# What `python -m bench cost` runs: short lines, a constant latency, 100 in flight.
MEASURED = Shape(lines=10_000, sigma=0.0, input_bytes=167, output_bytes=700)
TIMED = ("dynamodb:GetItem", "sqs:ChangeMessageVisibility")
CHECKPOINTS = ("dynamodb:TransactWriteItems", "s3:PutObject", "s3:GetObject")


def measured() -> dict[str, float]:
    figures = load(RESULTS / "cost.json").figures
    return {figure.name.split(" in a batch")[0]: figure.value for figure in figures}


def test_the_model_makes_the_calls_that_were_measured() -> None:
    figures, calls = measured(), calls_of(run_of(MEASURED))
    exact = {name: number for name, number in calls.items() if name not in TIMED + CHECKPOINTS}
    assert exact == {name: figures[name] for name in exact}
    assert {name for name in figures if ":" in name} == set(calls)


def test_the_model_makes_the_checkpoints_that_were_measured_but_for_one_a_shard() -> None:
    figures, calls, shards = measured(), calls_of(run_of(MEASURED)), len(run_of(MEASURED).shards)
    more = [figures[name] - calls[name] for name in CHECKPOINTS]
    assert more == [more[0]] * len(CHECKPOINTS)
    assert abs(more[0]) <= shards


def test_the_model_makes_about_as_many_timed_calls_as_were_measured() -> None:
    figures, calls = measured(), calls_of(run_of(MEASURED))
    polls = figures["API Gateway"] / 3.5e-6 / 100
    assert calls["dynamodb:GetItem"] + polls == pytest.approx(figures["dynamodb:GetItem"], rel=0.1)
    assert calls["sqs:ChangeMessageVisibility"] == figures["sqs:ChangeMessageVisibility"]


def test_the_bill_of_the_model_is_the_measured_bill() -> None:
    assert sum(bill(MEASURED, 512).values()) == pytest.approx(measured()["the bill"], rel=0.1)


def test_an_observed_run_is_billed_like_the_same_run_predicted() -> None:
    predicted = run_of(MEASURED)
    seconds = predicted.inference_seconds - len(predicted.shards) * SHARD_START_SECONDS
    observed = observed_run(
        MEASURED.lines, MEASURED.input_bytes, MEASURED.output_bytes, MEASURED.settings, seconds
    )
    assert calls_of(observed) == calls_of(predicted)
    assert sum(each.dollars for each in cost.bill(observed, 512)) == pytest.approx(
        sum(each.dollars for each in cost.bill(predicted, 512))
    )


@pytest.mark.parametrize(("lines", "slots", "sigma"), [(1_000, 100, 1.0), (300, 100, 0.5), (500, 10, 1.0)])
def test_a_pool_takes_as_long_as_it_does_in_the_simulation(lines: int, slots: int, sigma: float) -> None:
    model, simulated = scale.pool_agreement(lines, slots, sigma)
    assert model == pytest.approx(simulated, rel=0.05)


@pytest.mark.parametrize(("slots", "load"), [(1, 0.7), (4, 0.8)])
def test_batches_wait_for_admission_as_long_as_in_the_simulation(slots: int, load: float) -> None:
    model, simulated = scale.waiting_agreement(5_000, slots, load)
    assert model == pytest.approx(simulated, rel=0.1)


def test_batches_that_come_faster_than_they_end_wait_for_ever() -> None:
    assert waiting_seconds(1.0, 5.0, 5) == float("inf")


def test_more_batches_than_slots_run_as_fast_as_in_the_simulation() -> None:
    model, simulated = scale.throughput_agreement(50, 5)
    assert model == pytest.approx(simulated, rel=0.1)


def test_checkpoints_at_random_times_conflict_as_often_as_in_the_simulation() -> None:
    item = tables.checkpoints_of(200, start_spread=30.0).batch_items[0]
    assert item.attempts / item.transactions == pytest.approx(attempts_a_transaction(200 / 30), rel=0.1)


def test_lanes_that_start_at_once_conflict_no_more_than_lanes_that_do_not() -> None:
    together = tables.checkpoints_of(500, start_spread=0.0).batch_items[0]
    apart = tables.checkpoints_of(500, start_spread=30.0).batch_items[0]
    assert together.attempts / together.transactions == pytest.approx(
        apart.attempts / apart.transactions, rel=0.05
    )
    assert together.given_up == apart.given_up == 0


def test_every_slot_is_held_by_one_batch_at_a_time() -> None:
    settings = Settings(max_concurrent_batches=2, max_concurrent_requests_per_batch=10)
    shape = Shape(lines=100, sigma=0.0, settings=settings)
    simulation = Simulation(shape, iter([0.0] * 6), Overheads(shard_start=0, transaction=0))
    assert simulation.run() == pytest.approx(3 * 50)
    assert simulation.waits == pytest.approx([0, 0, 50, 50, 100, 100])


def test_the_admission_item_is_met_first_and_its_load_uses_all_of_it() -> None:
    most = most_batches_a_day(ADMISSION_PARTITION, Shape())
    assert dict(demand(Load("", most, Shape())))[ADMISSION_PARTITION] == pytest.approx(1, rel=0.01)
    assert all(most <= most_batches_a_day(limit, Shape()) for limit, _ in demand(Load("", most, Shape())))


@pytest.mark.parametrize("seconds", [0.1, 1, 30])
def test_a_shard_that_lasts_a_day_fits_into_its_item_however_often_it_is_saved(seconds: float) -> None:
    settings = Settings(checkpoint_seconds=seconds)
    most = settings.shard_max_lines
    assert shard_item_bytes(most, commits_of(most, most * 4_000, DAY, settings)) < SHARD_SIZE.most
    with pytest.raises(ValidationError):
        Settings(shard_max_lines=most + 1)


def test_a_shard_takes_as_many_workers_as_its_lines_need_before_they_wind_down() -> None:
    # 840 of 900 seconds, of one line a second and slot.
    assert [invocations_of(lines, 10, 1.0, 0.0) for lines in (8_400, 8_401, 16_801)] == [1, 2, 3]
    assert invocations_of(4_800, 100, 5.0, 1.0) == 1
    assert invocations_of(4_800, 100, 20.0, 1.0) == 3


def test_the_largest_batch_is_assembled_in_time_even_with_a_part_for_every_line() -> None:
    assert assemble_seconds(50, 50_000, 50_000 * 4_000) < ASSEMBLE.most / 3


def test_more_workers_make_a_batch_shorter_but_no_worker_cheaper() -> None:
    one = run_of(Shape(lines=50_000))
    ten = run_of(Shape(lines=50_000, settings=Settings(max_concurrent_requests_per_batch=1_000)))
    assert ten.seconds < one.seconds / 5
    assert ten.worker_seconds >= one.worker_seconds * 0.9


@pytest.mark.parametrize("table", tables.TABLES)
def test_the_document_shows_the_tables_that_the_model_prints(table: Callable[[], str]) -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8"), "copy it from `python -m bench tables`"
