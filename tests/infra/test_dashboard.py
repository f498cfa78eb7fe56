"""The dashboard shows every metric that exists, and no other."""

import math
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from bench.dashboard import LAMBDA, QUEUE, TABLE
from bench.result import RESULTS, load
from bench.widgets import Json, Source, chart_of, evaluate, source, source_of, statistic_of, widgets_of
from infra.deploy import camel_case
from infra.resources import DEAD_LETTER_QUEUES, QUEUES, functions
from nightlane.aws.prices import lambda_price
from nightlane.domain.metrics import Metric
from nightlane.settings import Settings
from tests.infra.conftest import Template

pytestmark = pytest.mark.xdist_group("cdk")
NAMESPACE = "Nightlane"
COLUMNS = 24


@pytest.fixture
def widgets(template: Template) -> list[Json]:
    return widgets_of(template.body)


def _rows(widget: Json) -> list[Any]:
    rows: list[Any] = widget["properties"].get("metrics", [])
    return rows


def _sources(widgets: list[Json]) -> set[Source]:
    return {source_of(path) for widget in widgets for *path, _ in _rows(widget) if path}


def test_the_dashboard_shows_all_of_nightlanes_metrics_and_no_others(widgets: list[Json]) -> None:
    own = {name for namespace, name, _ in _sources(widgets) if namespace == NAMESPACE}
    assert own == {metric.value for metric in Metric}


def test_every_alarm_watches_a_metric_that_exists(template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    own = {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == NAMESPACE}
    assert own
    assert own <= {metric.value for metric in Metric}


def test_no_two_widgets_overlap_and_all_stay_on_the_grid(widgets: list[Json]) -> None:
    for widget in widgets:
        assert widget["x"] >= 0
        assert widget["x"] + widget["width"] <= COLUMNS
    for one, other in combinations(widgets, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        assert beside or one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]


def test_every_row_of_widgets_fills_the_full_width(widgets: list[Json]) -> None:
    widths = Counter[int]()
    for widget in widgets:
        widths[widget["y"]] += widget["width"]
    assert set(widths.values()) == {COLUMNS}


def test_a_chart_shows_every_visible_row_of_its_widget(widgets: list[Json]) -> None:
    for widget in widgets:
        labels = [options["label"] for *_, options in _rows(widget) if options.get("visible", True)]
        assert list(chart_of(widget, {}, minutes=1).series) == labels
        assert len(labels) == len(set(labels))


def test_every_metric_has_a_period_of_one_minute(widgets: list[Json]) -> None:
    assert {options["period"] for widget in widgets for *_, options in _rows(widget)} == {60}


def test_a_local_run_names_functions_queues_and_the_table_as_the_dashboard_does(widgets: list[Json]) -> None:
    named = {dimension for _, _, dimensions in _sources(widgets) for dimension in dimensions}
    queues = [*(queue.name for queue in QUEUES), *DEAD_LETTER_QUEUES]
    assert {("FunctionName", LAMBDA.format(camel_case(spec.name))) for spec in functions(Settings())} <= named
    assert {("QueueName", QUEUE.format(camel_case(name))) for name in queues} <= named
    assert ("TableName", TABLE) in named


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("Sum", 110), ("Average", 22), ("Maximum", 100), ("p50", 3), ("p95", 80.8), ("p99", 96.16)],
)
def test_a_statistic_covers_all_values_of_a_minute(statistic: str, value: float) -> None:
    assert statistic_of(statistic, [100, 1, 2, 4, 3]) == pytest.approx(value)


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert [statistic_of(name, [7]) for name in ("p50", "p99")] == [7, 7]


def test_an_expression_has_no_data_where_an_operand_has_none_unless_it_uses_fill() -> None:
    known = {"a": [1.0, 2.0, math.nan], "b": [math.nan, 4.0, 8.0]}
    assert evaluate("a*10+b/2", known) == pytest.approx([math.nan, 22.0, math.nan], nan_ok=True)
    assert evaluate("FILL(a,0)*10+FILL(b,0)/2", known) == [10.0, 22.0, 4.0]


def test_the_cost_of_lambda_includes_functions_that_ran_even_if_others_did_not(widgets: list[Json]) -> None:
    (costs,) = [each for each in widgets if each["properties"].get("title") == "Dollars per hour"]
    infer = next(spec for spec in functions(Settings()) if spec.name == "infer")
    name = LAMBDA.format(camel_case(infer.name))
    samples = {
        source("AWS/Lambda", "Duration", FunctionName=name): {0: [800_000.0, 1_200_000.0]},
        source("AWS/Lambda", "Invocations", FunctionName=name): {0: [2.0]},
    }
    dollars = chart_of(costs, samples, minutes=2).series["Lambda"]
    assert dollars == [pytest.approx(60 * lambda_price(2, 2_000.0, infer.memory), rel=1e-4), 0]


def test_all_series_of_the_saved_result_have_the_same_length() -> None:
    charts = load(RESULTS / "dashboard.json").charts
    minutes = {len(line) for chart in charts for line in chart.series.values()}
    assert len(minutes) == 1
