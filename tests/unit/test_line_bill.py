"""The bill of a design with a message for each line."""

import pytest

from bench.bill import bill, billed_shape
from bench.line_bill import calls_of_a_line, message_a_line
from bench.tables import LATENCIES
from nightlane.aws.prices import MILLION


def test_a_million_messages_table_writes_and_objects_cost_six_dollars() -> None:
    assert sum(calls_of_a_line().values()) * MILLION == pytest.approx(0.15 + 0.20 + 0.625 + 5.00)


def test_a_function_that_waits_for_one_answer_costs_its_memory_for_that_time() -> None:
    waiting = (message_a_line(60.0) - message_a_line(0.0)) * MILLION
    assert waiting == pytest.approx(60 * 0.125 * 13.3334)


@pytest.mark.parametrize("latency", LATENCIES)
def test_ten_requests_in_flight_cost_less_than_a_message_a_line(latency: float) -> None:
    assert sum(bill(billed_shape(latency, 10)).values()) < message_a_line(latency) * MILLION
