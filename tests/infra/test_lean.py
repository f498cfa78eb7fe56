"""Lean monitoring: fewer alarms, no dashboard, no traces, and everything else as with full monitoring."""

import pytest

from infra.deploy.deployment import Monitoring
from infra.deploy.monitoring.alarms import LEAN
from nightlane.domain.metrics import NAMESPACE, Metric
from tests.infra.conftest import Template

pytestmark = pytest.mark.xdist_group("cdk")
WATCHED_RESOURCES = (
    "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::SQS::Queue", "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
)  # fmt: skip


def test_monitoring_is_full_unless_the_operator_wants_it_lean(template: Template, lean: Template) -> None:
    assert list(Monitoring) == ["full", "lean"]
    assert len(template.of_type("AWS::CloudWatch::Dashboard")) == 1
    assert lean.of_type("AWS::CloudWatch::Dashboard") == {}


def test_lean_has_a_few_of_the_alarms_and_one_that_stands_for_the_others(
    template: Template, lean: Template
) -> None:
    full, few = (
        {each["AlarmName"].removeprefix("Nightlane-"): each for each in alarms.values()}
        for alarms in (one.of_type("AWS::CloudWatch::Alarm") for one in (template, lean))
    )
    assert set(few) == LEAN
    assert set(few) - set(full) == {"WorkStuck"}
    stuck = few["WorkStuck"]
    assert (stuck["Namespace"], stuck["MetricName"]) == (NAMESPACE, Metric.WORK_STUCK)
    assert (stuck["TreatMissingData"], stuck["Threshold"]) == ("notBreaching", 1)
    for name in set(few) - {"WorkStuck"}:
        assert few[name]["MetricName"] == full[name]["MetricName"]
        assert few[name]["TreatMissingData"] == full[name]["TreatMissingData"]


def test_lean_traces_nothing(template: Template, lean: Template) -> None:
    assert "xray:" in str(template.body)
    assert "xray:" not in str(lean.body)
    assert all("TracingConfig" not in each for each in lean.of_type("AWS::Lambda::Function").values())
    (stage,) = lean.of_type("AWS::ApiGateway::Stage").values()
    assert not stage["TracingEnabled"]


def test_lean_changes_no_limit_and_nothing_else_that_runs(template: Template, lean: Template) -> None:
    for kind in WATCHED_RESOURCES:
        ours, theirs = template.of_type(kind), lean.of_type(kind)
        assert ours.keys() == theirs.keys()
        for name, properties in ours.items():
            differing = {
                key
                for key in properties.keys() | theirs[name].keys()
                if properties.get(key) != theirs[name].get(key)
            }
            assert differing <= {"TracingConfig"}
