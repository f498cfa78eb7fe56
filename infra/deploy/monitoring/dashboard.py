"""The dashboard, from the top: does work flow, is the upstream well, is anything dead, the cost."""

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.deploy.monitoring.metrics import AVERAGE, MAXIMUM, MINUTE, SUM, Watched
from infra.prices import (
    API_GATEWAY_REQUEST,
    DYNAMODB_READ_UNIT,
    DYNAMODB_WRITE_UNIT,
    LAMBDA_GB_SECOND_ARM64,
    LAMBDA_REQUEST,
)
from infra.resources import FunctionSpec
from nightlane.domain.metrics import Metric

WIDTH, HEIGHT = 24, 6
MB_MILLISECONDS_A_GB_SECOND = 1_024_000


class Dashboard(Construct):
    """The dashboard of one stack."""

    def __init__(
        self, scope: Construct, construct_id: str, *, watched: Watched, specs: tuple[FunctionSpec, ...]
    ) -> None:
        super().__init__(scope, construct_id)
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=watched.service,
            widgets=[
                [_heading("Is work flowing?", "Batches are made, admitted and ended; lines are answered.")],
                _flow(watched),
                [_heading("Is the upstream well?", "What the workers see of your inference endpoint.")],
                _upstream(watched),
                [_heading("Is anything dead?", "All of this should be flat at zero.")],
                _trouble(watched),
                [_heading("What does it cost?", "Dollars an hour at list prices, without S3 and logs.")],
                _cost(watched, specs),
            ],
        )


def _heading(title: str, text: str) -> cloudwatch.IWidget:
    return cloudwatch.TextWidget(markdown=f"## {title}\n{text}", width=WIDTH, height=2)


def _graph(title: str, *left: cloudwatch.IMetric, unit: str, stacked: bool = False) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(
        title=title,
        left=list(left),
        left_y_axis=cloudwatch.YAxisProps(min=0, label=unit, show_units=False),
        stacked=stacked,
        period=MINUTE,
        width=WIDTH // 4,
        height=HEIGHT,
    )


def _flow(watched: Watched) -> list[cloudwatch.IWidget]:
    own = watched.own
    return [
        _graph(
            "Lines a minute",
            own(Metric.LINES_COMPLETED, "completed"),
            own(Metric.LINES_FAILED, "failed"),
            own(Metric.LINES_EXPIRED, "expired"),
            own(Metric.LINES_CANCELLED, "cancelled"),
            unit="lines",
            stacked=True,
        ),
        _graph(
            "Batches",
            own(Metric.BATCHES_RUNNING, "running", MAXIMUM),
            own(Metric.BATCHES_WAITING, "waiting for admission", MAXIMUM),
            own(Metric.BATCHES_CREATED, "created"),
            own(Metric.BATCHES_COMPLETED, "completed"),
            own(Metric.BATCHES_FAILED, "failed"),
            own(Metric.BATCHES_EXPIRED, "expired"),
            own(Metric.BATCHES_CANCELLED, "cancelled"),
            unit="batches",
        ),
        _graph(
            "Wait in the queues",
            *(own(Metric.QUEUE_WAIT, name, "p95", function=name) for name in ("plan", "infer", "assemble")),
            own(Metric.ADMISSION_WAIT, "for admission", "p95"),
            unit="ms, p95",
        ),
        _graph(
            "API",
            watched.of_api("Count", SUM, "requests"),
            watched.of_api("4XXError", SUM, "4xx"),
            watched.of_api("5XXError", SUM, "5xx"),
            unit="requests a minute",
        ),
    ]


def _upstream(watched: Watched) -> list[cloudwatch.IWidget]:
    own = watched.own
    return [
        _graph(
            "Latency",
            *(own(Metric.UPSTREAM_LATENCY, statistic, statistic) for statistic in ("p50", "p95", "p99")),
            unit="ms",
        ),
        _graph(
            "Refusals a minute",
            own(Metric.UPSTREAM_THROTTLED, "429"),
            own(Metric.UPSTREAM_ERRORS, "5xx"),
            own(Metric.UPSTREAM_UNREACHABLE, "no answer"),
            unit="answers",
            stacked=True,
        ),
        _graph(
            "In flight a worker",
            own(Metric.IN_FLIGHT, "mean", AVERAGE),
            own(Metric.IN_FLIGHT, "most", MAXIMUM),
            unit="requests",
        ),
        _graph(
            "Checkpoints",
            own(Metric.CHECKPOINT_TIME, "p50", "p50"),
            own(Metric.CHECKPOINT_TIME, "p99", "p99"),
            unit="ms",
        ),
    ]


def _trouble(watched: Watched) -> list[cloudwatch.IWidget]:
    return [
        _graph(
            "Dead letters and overdue batches",
            watched.own(Metric.DEAD_LETTERS, "dead letters"),
            watched.own(Metric.BATCHES_OVERDUE, "overdue batches", MAXIMUM),
            unit="count",
        ),
        _graph(
            "Age of the oldest message",
            *watched.of_queues("ApproximateAgeOfOldestMessage", MAXIMUM),
            *watched.of_queues("ApproximateAgeOfOldestMessage", MAXIMUM, dead=True),
            unit="s",
        ),
        _graph("Errors of functions", *watched.of_functions("Errors", SUM), unit="errors"),
        _graph(
            "Throttles",
            *watched.of_functions("Throttles", SUM),
            watched.of_table("ReadThrottleEvents", "table, reads"),
            watched.of_table("WriteThrottleEvents", "table, writes"),
            unit="throttles",
        ),
    ]


def _cost(watched: Watched, specs: tuple[FunctionSpec, ...]) -> list[cloudwatch.IWidget]:
    own = watched.own
    return [
        _graph(
            "Dollars an hour",
            _dollars_of_functions(watched, specs),
            _dollars("API Gateway", API_GATEWAY_REQUEST, watched.of_api("Count", SUM, "requests")),
            _dollars(
                "DynamoDB writes",
                DYNAMODB_WRITE_UNIT,
                watched.of_table("ConsumedWriteCapacityUnits", "write units"),
            ),
            _dollars(
                "DynamoDB reads",
                DYNAMODB_READ_UNIT,
                watched.of_table("ConsumedReadCapacityUnits", "read units"),
            ),
            unit="US dollars",
            stacked=True,
        ),
        _graph(
            "Busy time of functions", *watched.of_functions("Duration", SUM), unit="ms a minute", stacked=True
        ),
        _graph(
            "Workers at once",
            *watched.of_functions("ConcurrentExecutions", MAXIMUM, ("infer", "plan", "assemble")),
            unit="invocations",
        ),
        _graph(
            "Tokens a minute",
            own(Metric.PROMPT_TOKENS, "prompt"),
            own(Metric.COMPLETION_TOKENS, "completion"),
            unit="tokens",
            stacked=True,
        ),
    ]


def _dollars(label: str, price: float, metric: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    """What a minute's count costs, as dollars an hour."""
    name = "".join(part[0] for part in label.lower().split())
    return cloudwatch.MathExpression(
        expression=f"{name}*{price * 60:.12f}", using_metrics={name: metric}, label=label, period=MINUTE
    )


def _dollars_of_functions(watched: Watched, specs: tuple[FunctionSpec, ...]) -> cloudwatch.MathExpression:
    """Gigabyte-seconds and requests of all functions, as dollars an hour."""
    terms, using = [], {}
    for spec in specs:
        (using[f"d_{spec.name}"],) = watched.of_functions("Duration", SUM, (spec.name,))
        (using[f"n_{spec.name}"],) = watched.of_functions("Invocations", SUM, (spec.name,))
        price = spec.memory / MB_MILLISECONDS_A_GB_SECOND * LAMBDA_GB_SECOND_ARM64
        terms += [f"d_{spec.name}*{price * 60:.12f}", f"n_{spec.name}*{LAMBDA_REQUEST * 60:.12f}"]
    return cloudwatch.MathExpression(
        expression="+".join(terms), using_metrics=using, label="Lambda", period=MINUTE
    )
