"""The dashboard: it shows every metric there is, and nothing that there is not."""

import json
from collections import Counter
from itertools import combinations

import pytest

from bench.dashboard import LAMBDA, QUEUE, TABLE
from bench.drawing import COLOURS, COLUMNS
from bench.widgets import Source, Widget, computed, evaluated, resolved, statistic_of, widgets_of
from infra.prices import lambda_price
from infra.resources import QUEUES, functions
from nightlane.domain.metrics import Metric
from nightlane.settings import Settings
from tests.infra.conftest import Template
from tests.rig.ledger import FunctionUse

pytestmark = pytest.mark.xdist_group("cdk")
NAMESPACE = "Nightlane"


@pytest.fixture
def widgets(template: Template) -> tuple[Widget, ...]:
    return widgets_of(template.body)


def _sources(widgets: tuple[Widget, ...]) -> set[Source]:
    return {line.source for widget in widgets for line in widget.lines if line.source}


def test_the_dashboard_shows_every_metric_of_nightlane_and_no_other(widgets: tuple[Widget, ...]) -> None:
    own = {source.name for source in _sources(widgets) if source.namespace == NAMESPACE}
    assert own == {metric.value for metric in Metric}


def test_every_alarm_watches_a_metric_that_exists(template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    own = {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == NAMESPACE}
    assert own
    assert own <= {metric.value for metric in Metric}


def test_no_two_widgets_overlap_and_all_stay_on_the_grid(widgets: tuple[Widget, ...]) -> None:
    for widget in widgets:
        assert widget.x >= 0
        assert widget.x + widget.width <= COLUMNS
    for one, other in combinations(widgets, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_every_row_of_widgets_is_filled_to_its_end(widgets: tuple[Widget, ...]) -> None:
    widths = Counter[int]()
    for widget in widgets:
        widths[widget.y] += widget.width
    assert set(widths.values()) == {COLUMNS}


def test_the_parser_loses_nothing(template: Template, widgets: tuple[Widget, ...]) -> None:
    (dashboard,) = template.of_type("AWS::CloudWatch::Dashboard").values()
    written = json.loads(resolved(dashboard["DashboardBody"]))["widgets"]
    assert len(widgets) == len(written)
    for read, wrote in zip(widgets, written, strict=True):
        rows = wrote["properties"].get("metrics", [])
        assert read.title in {wrote["properties"].get("title"), wrote["properties"].get("markdown")}
        assert [line.label for line in read.lines if line.label] == [
            row[-1]["label"] for row in rows if row[-1].get("visible", True)
        ]
        assert [line.source.name for line in read.lines if line.source] == [
            row[1] for row in rows if len(row) > 1
        ]
        assert [line.expression for line in read.lines if line.expression] == [
            row[-1]["expression"] for row in rows if "expression" in row[-1]
        ]


def test_the_lines_of_a_graph_differ_in_label_and_colour(widgets: tuple[Widget, ...]) -> None:
    for widget in widgets:
        labels = [line.label for line in widget.lines if line.label]
        assert len(labels) == len(set(labels)) <= len(COLOURS)


def test_a_local_run_names_functions_queues_and_the_table_as_the_dashboard_does(
    widgets: tuple[Widget, ...],
) -> None:
    named = {dimension for source in _sources(widgets) for dimension in source.dimensions}
    queues = [name for queue in QUEUES for name in (queue.name, queue.dead_letters)]
    assert {("FunctionName", LAMBDA.format(spec.name.title())) for spec in functions(Settings())} <= named
    assert {("QueueName", QUEUE.format(name.title().replace("-", ""))) for name in queues} <= named
    assert ("TableName", TABLE) in named


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("Sum", 110), ("Average", 22), ("Maximum", 100), ("p50", 3), ("p95", 80.8), ("p99", 96.16)],
)
def test_a_statistic_is_of_all_values_of_a_minute(statistic: str, value: float) -> None:
    assert statistic_of(statistic, [100, 1, 2, 4, 3]) == pytest.approx(value)


def test_percentiles_of_one_value_are_that_value() -> None:
    assert [statistic_of(name, [7]) for name in ("p50", "p99")] == [7, 7]


def test_an_expression_has_no_data_where_an_operand_has_none_unless_it_is_filled() -> None:
    known = {"a": {0: 1.0, 1: 2.0}, "b": {1: 4.0, 2: 8.0}}
    assert computed("a*10+b/2", known, minutes=3) == {1: 22.0}
    assert computed("FILL(a,0)*10+FILL(b,0)/2", known, minutes=3) == {0: 10.0, 1: 22.0, 2: 4.0}


@pytest.mark.parametrize("expression", ["a-1", "SUM(a)", "a if a else a", "a.b"])
def test_an_expression_that_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="cannot compute"):
        computed(expression, {"a": {0: 1.0}}, minutes=1)


def test_dollars_of_lambda_count_the_functions_that_ran_though_others_did_not(
    widgets: tuple[Widget, ...],
) -> None:
    (costs,) = [widget for widget in widgets if widget.title == "Dollars an hour"]
    infer = next(spec for spec in functions(Settings()) if spec.name == "infer")
    used = FunctionUse(infer.memory, invocations=2, milliseconds=2_000_000)
    name = LAMBDA.format(infer.name.title())
    samples = {
        Source.of("AWS/Lambda", "Duration", FunctionName=name): {0: [800_000.0, 1_200_000.0]},
        Source.of("AWS/Lambda", "Invocations", FunctionName=name): {0: [2.0]},
    }
    dollars = evaluated(costs, samples, minutes=2)["Lambda"]
    assert dollars == {
        0: pytest.approx(
            60 * lambda_price(used.invocations, used.milliseconds / 1e3, used.memory_mb), rel=1e-4
        ),
        1: 0,
    }
