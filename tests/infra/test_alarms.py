"""Every alarm says what happened, and docs/operations.md says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.monitoring.alarms import LEAN
from infra.resources import functions
from nightlane.settings import Settings
from tests.infra.conftest import Template

pytestmark = pytest.mark.xdist_group("cdk")
MANUAL = Path("docs/operations.md")


@pytest.fixture
def alarms(template: Template, lean: Template) -> list[dict[str, Any]]:
    """All alarms, with full and with lean monitoring."""
    return [alarm for each in (template, lean) for alarm in each.of_type("AWS::CloudWatch::Alarm").values()]


def test_every_alarm_has_a_section_in_the_manual_and_every_section_an_alarm(
    alarms: list[dict[str, Any]],
) -> None:
    names = {each["AlarmName"].removeprefix("Nightlane-") for each in alarms}
    chapter = MANUAL.read_text().split("\n## Alarms\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^### (\w+)$", chapter, re.MULTILINE)) == sorted(names)
    assert all(len(each["AlarmDescription"]) > 30 for each in alarms)


def test_the_manual_lists_the_alarms_of_lean_monitoring() -> None:
    chapter = MANUAL.read_text().split("\n## Alarms\n")[1].split("\n## ")[0]
    (listed,) = re.findall(r'With `monitoring: "lean"` there are only ([^.]*)\.', chapter)
    assert set(re.findall(r"[A-Z]\w+", listed)) == LEAN


def test_every_alarm_watches_one_plain_metric(alarms: list[dict[str, Any]]) -> None:
    for alarm in alarms:
        assert "Metrics" not in alarm
        assert alarm["MetricName"]


def test_only_the_sweepers_alarm_fires_when_data_is_missing(template: Template) -> None:
    breaching = [
        each["AlarmName"]
        for each in template.of_type("AWS::CloudWatch::Alarm").values()
        if each["TreatMissingData"] == "breaching"
    ]
    assert breaching == ["Nightlane-SweepStopped"]


def test_every_dead_letter_queue_and_every_background_function_has_an_alarm(template: Template) -> None:
    watched = {
        dimension["Value"]["Fn::GetAtt"][0]
        if "Fn::GetAtt" in dimension["Value"]
        else dimension["Value"]["Ref"]
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if not isinstance(dimension["Value"], str)
    }
    dead = {each["EventSourceArn"]["Fn::GetAtt"][0] for each in template.mappings("dead_letters")}
    background = {template.name_of(spec.name) for spec in functions(Settings()) if spec.is_background}
    assert dead | background <= watched
