"""The model behind docs/cost-and-scale.md agrees with measured calls and with the simulation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench import scale, tables
from bench.bill import bill
from bench.lane_model import lane_pace
from bench.lane_simulation import run_lane
from bench.limits import ADMISSION_PARTITION, ASSEMBLE, SHARD_SIZE, Load, demand, max_batches_per_day
from bench.result import RESULTS, load
from bench.scale_model import (
    DAY,
    Shape,
    attempts_per_transaction,
    run_of,
    waiting_seconds,
)
from bench.simulation import Overheads, Simulation
from nightlane.aws import bill as aws_bill
from nightlane.aws.bill import WORKER_START_SECONDS, assemble_seconds, calls_of, shard_item_bytes
from nightlane.aws.runs import checkpoints_per_shard, observed_run
from nightlane.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "cost-and-scale.md"
# The batch of `python -m bench cost`: short lines, a constant latency, 100 requests in flight.
MEASURED = Shape(lines=10_000, sigma=0.0, input_bytes=167, output_bytes=700)
TIMED = ("dynamodb:GetItem", "sqs:ChangeMessageVisibility")
CHECKPOINTS = ("dynamodb:TransactWriteItems", "s3:PutObject", "s3:GetObject")


def measured() -> dict[str, float]:
    figures = load(RESULTS / "cost.json").figures
    return {figure.name.split(" in a batch")[0]: figure.value for figure in figures}


def test_the_model_predicts_the_measured_calls() -> None:
    figures, calls = measured(), calls_of(run_of(MEASURED))
    exact = {name: number for name, number in calls.items() if name not in TIMED + CHECKPOINTS}
    assert exact == {name: figures[name] for name in exact}
    assert {name for name in figures if ":" in name} == set(calls)


def test_the_model_predicts_the_measured_checkpoints_within_one_per_shard() -> None:
    figures, calls, shards = measured(), calls_of(run_of(MEASURED)), len(run_of(MEASURED).shards)
    differences = [figures[name] - calls[name] for name in CHECKPOINTS]
    assert differences == [differences[0]] * len(CHECKPOINTS)
    assert abs(differences[0]) <= shards


def test_the_model_predicts_the_calls_made_at_intervals_within_a_tenth() -> None:
    figures, calls = measured(), calls_of(run_of(MEASURED))
    polls = figures["API Gateway"] / 3.5e-6 / 100
    assert calls["dynamodb:GetItem"] + polls == pytest.approx(figures["dynamodb:GetItem"], rel=0.1)
    renewals = figures["sqs:ChangeMessageVisibility"]
    assert calls["sqs:ChangeMessageVisibility"] == pytest.approx(renewals, rel=0.1)


def test_the_predicted_bill_is_within_a_tenth_of_the_measured_bill() -> None:
    assert sum(bill(MEASURED).values()) == pytest.approx(measured()["the bill"], rel=0.1)


@pytest.mark.parametrize(("in_flight", "dollars"), [(100, 0.40), (300, 0.20)])
def test_a_million_requests_of_5_s_in_large_batches_cost_cents(in_flight: int, dollars: float) -> None:
    settings = Settings(max_concurrent_requests_per_batch=in_flight, requests_in_flight_per_worker=in_flight)
    assert sum(bill(Shape(lines=50_000, settings=settings)).values()) <= dollars


def test_an_observed_run_costs_as_much_as_the_same_run_predicted() -> None:
    predicted = run_of(MEASURED)
    seconds = predicted.inference_seconds - predicted.invocations * WORKER_START_SECONDS
    observed = observed_run(
        MEASURED.lines, MEASURED.input_bytes, MEASURED.output_bytes, MEASURED.settings, seconds
    )
    assert calls_of(observed) == calls_of(predicted)
    assert sum(each.dollars for each in aws_bill.bill(observed, 512)) == pytest.approx(
        sum(each.dollars for each in aws_bill.bill(predicted, 512))
    )


@pytest.mark.parametrize(("lines", "slots", "sigma"), [(1_000, 100, 1.0), (300, 100, 0.5), (500, 10, 1.0)])
def test_a_pool_takes_as_long_as_in_the_simulation(lines: int, slots: int, sigma: float) -> None:
    model, simulated = scale.pool_agreement(lines, slots, sigma)
    assert model == pytest.approx(simulated, rel=0.05)


@pytest.mark.parametrize(("slots", "load"), [(1, 0.7), (4, 0.8)])
def test_batches_wait_as_long_for_admission_as_in_the_simulation(slots: int, load: float) -> None:
    model, simulated = scale.waiting_agreement(5_000, slots, load)
    assert model == pytest.approx(simulated, rel=0.1)


def test_batches_that_arrive_faster_than_they_end_wait_forever() -> None:
    assert waiting_seconds(1.0, 5.0, 5) == float("inf")


def test_throughput_with_all_slots_in_use_is_as_in_the_simulation() -> None:
    model, simulated = scale.throughput_agreement(50, 5)
    assert model == pytest.approx(simulated, rel=0.1)


def test_checkpoints_at_random_times_conflict_as_often_as_in_the_simulation() -> None:
    item = tables.checkpoints_of(200, start_spread=30.0).batch_items[0]
    assert item.attempts / item.transactions == pytest.approx(attempts_per_transaction(200 / 30), rel=0.1)


def test_lanes_that_start_together_hardly_conflict_more_than_others() -> None:
    # They reach their deadlines together, too, and each commits then.
    together = tables.checkpoints_of(500, start_spread=0.0).batch_items[0]
    apart = tables.checkpoints_of(500, start_spread=30.0).batch_items[0]
    assert together.attempts / together.transactions == pytest.approx(
        apart.attempts / apart.transactions, rel=0.1
    )
    assert together.given_up == apart.given_up == 0


def test_only_one_batch_at_a_time_holds_a_slot() -> None:
    settings = Settings(max_concurrent_batches=2, max_concurrent_requests_per_batch=10)
    shape = Shape(lines=100, sigma=0.0, settings=settings)
    simulation = Simulation(shape, iter([0.0] * 6), Overheads(worker_start=0, transaction=0))
    assert simulation.run() == pytest.approx(3 * 50)
    assert simulation.waits == pytest.approx([0, 0, 50, 50, 100, 100])


def test_the_admission_item_is_the_first_limit_to_be_reached() -> None:
    most = max_batches_per_day(ADMISSION_PARTITION, Shape())
    assert dict(demand(Load("", most, Shape())))[ADMISSION_PARTITION] == pytest.approx(1, rel=0.01)
    assert all(most <= max_batches_per_day(limit, Shape()) for limit, _ in demand(Load("", most, Shape())))


@pytest.mark.parametrize("seconds", [0.1, 1, 30])
def test_a_shard_that_runs_for_a_day_fits_into_its_item_at_any_checkpoint_interval(seconds: float) -> None:
    settings = Settings(checkpoint_seconds=seconds)
    most = settings.shard_max_lines
    assert (
        shard_item_bytes(most, checkpoints_per_shard(most, most * 4_000, DAY, settings)) < SHARD_SIZE.maximum
    )
    with pytest.raises(ValidationError):
        Settings(shard_max_lines=most + 1)


def test_a_lane_needs_as_many_invocations_as_its_lines_take_before_they_wind_down() -> None:
    # No request is started in the last 15 s, nor one and a half times the latency before that.
    paces = [lane_pace(lines, 10, 1.0, 0.0) for lines in (8_840, 8_841, 17_681)]
    assert [(pace.seconds, pace.invocations) for pace in paces] == [
        (884, 1),
        (885, 2),
        (1_769, 3),
    ]


@pytest.mark.parametrize(
    ("lines", "slots", "latency"),
    [(10_000, 100, 20.0), (1_000, 1, 5.0), (50_000, 100, 5.0), (50_000, 300, 5.0)],
)
def test_a_lane_with_deadlines_takes_as_long_as_in_the_simulation(
    lines: int, slots: int, latency: float
) -> None:
    model, simulated = scale.lane_agreement(lines, slots, latency, rounds=4)
    assert model.seconds == pytest.approx(simulated.seconds, rel=0.1)
    assert model.worker_seconds == pytest.approx(simulated.worker_seconds, rel=0.1)
    assert abs(model.invocations - simulated.invocations) < 1


def test_an_invocation_repeats_what_the_one_before_gave_up() -> None:
    times = run_lane([100.0, 5.0, 790.0, 1.0], slots=1)
    assert times.ends == [100.0, 105.0, 885.0 + 790.0, 885.0 + 791.0]
    assert times.given_up == 1
    assert [(each.began, each.ended) for each in times.invocations] == [
        (0, 885),
        (885, 1_675),
        (1_675, 1_676),
    ]


def test_the_next_invocation_begins_while_the_last_lines_of_the_one_before_are_in_flight() -> None:
    # One slot is busy until 884 s; the other one has short lines, of which none may start after 883.65 s.
    times = run_lane([884.0, *[0.9] * 1_000], slots=2)
    first, second = times.invocations
    assert first.began < second.began < first.ended
    assert times.given_up == 0


def test_the_largest_batch_is_assembled_in_time_even_with_one_part_per_line() -> None:
    assert assemble_seconds(50, 50_000, 50_000 * 4_000) < ASSEMBLE.maximum / 3


def test_more_workers_make_a_batch_faster_but_not_cheaper() -> None:
    one = run_of(Shape(lines=50_000))
    ten = run_of(Shape(lines=50_000, settings=Settings(max_concurrent_requests_per_batch=1_000)))
    assert ten.seconds < one.seconds / 5
    assert ten.worker_seconds >= one.worker_seconds * 0.9


@pytest.mark.parametrize("table", tables.TABLES)
def test_the_document_has_the_tables_that_the_model_prints(table: Callable[[], str]) -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8"), "copy it from `python -m bench tables`"
