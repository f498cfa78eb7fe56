"""The bill of a design with a message for each line, and the tables that compare servers."""

from pathlib import Path

import pytest

from bench.bill import bill, billed_shape
from bench.line_bill import calls_of_a_line, message_a_line
from bench.tables import LATENCIES, compared, with_compared
from nightlane.aws.prices import MILLION

DOCUMENT = Path(__file__).parents[2] / "docs/performance.md"


def test_a_million_messages_table_writes_and_objects_cost_six_dollars() -> None:
    assert sum(calls_of_a_line().values()) * MILLION == pytest.approx(0.15 + 0.20 + 0.625 + 5.00)


def test_a_function_that_waits_for_one_answer_costs_its_memory_for_that_time() -> None:
    waiting = (message_a_line(60.0) - message_a_line(0.0)) * MILLION
    assert waiting == pytest.approx(60 * 0.125 * 13.3334)


@pytest.mark.parametrize("latency", LATENCIES)
def test_ten_requests_in_flight_cost_less_than_a_message_a_line(latency: float) -> None:
    assert sum(bill(billed_shape(latency, 10)).values()) < message_a_line(latency) * MILLION


def test_the_document_has_the_tables_of_the_saved_results() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    assert with_compared(page) == page, "`python -m bench tables` updates it"


def test_a_table_replaces_the_one_below_its_marker() -> None:
    page = "before\n\n<!-- bench bill -->\n| old |\n| --- |\n\nafter\n"
    assert with_compared(page) == f"before\n\n<!-- bench bill -->\n{compared('bill')}\n\nafter\n"
