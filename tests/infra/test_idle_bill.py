"""The bill of an idle stack in docs/cost-and-scale.md follows from the templates."""

from copy import deepcopy
from pathlib import Path

import pytest

from bench.idle import (
    POLLERS,
    POLLERS_WITH_MAXIMUM,
    Sweep,
    alarm_metrics,
    idle_bill,
    minutes_between,
    of_type,
    receives,
    table,
)
from tests.infra.conftest import Template

pytestmark = pytest.mark.xdist_group("cdk")
DOCUMENT = Path("docs/cost-and-scale.md")
MAX_LEAN_DOLLARS = 3.00


def test_an_idle_stack_with_lean_monitoring_costs_at_most_three_dollars_a_month(lean: Template) -> None:
    assert sum(idle_bill(lean.body, Sweep.measured()).values()) <= MAX_LEAN_DOLLARS


def test_the_document_has_the_bills_of_both_templates(template: Template, lean: Template) -> None:
    assert table(template.body, lean.body) in DOCUMENT.read_text(), "copy it from `python -m bench tables`"


def test_an_idle_sweep_publishes_no_metric() -> None:
    assert Sweep.measured().metrics == 0


def test_an_alarm_on_an_expression_costs_as_much_as_its_metrics(lean: Template) -> None:
    body = deepcopy(lean.body)
    before = alarm_metrics(body)
    alarm = next(iter(of_type(body, "AWS::CloudWatch::Alarm").values()))
    alarm["Metrics"] = [{"Expression": "a+b"}, {"MetricStat": {}}, {"MetricStat": {}}]
    assert alarm_metrics(body) == before + 1


def test_fifo_queues_and_event_sources_with_a_maximum_cost_more(lean: Template) -> None:
    body = deepcopy(lean.body)
    costs = sorted(set(receives(body).values()))
    assert costs == pytest.approx([0.2592, 0.324])
    for source in of_type(body, "AWS::Lambda::EventSourceMapping").values():
        del source["ScalingConfig"]
    fewer = POLLERS / POLLERS_WITH_MAXIMUM
    assert sorted(set(receives(body).values())) == pytest.approx([cost * fewer for cost in costs])


def test_only_intervals_in_minutes_are_understood() -> None:
    assert minutes_between({"ScheduleExpression": "rate(5 minutes)"}) == 5
    with pytest.raises(ValueError, match="rate"):
        minutes_between({"ScheduleExpression": "rate(1 hour)"})
