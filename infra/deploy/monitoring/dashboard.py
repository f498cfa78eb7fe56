"""The dashboard, from the top: does work flow, is the upstream healthy, is anything broken, the cost."""

from collections.abc import Mapping

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from nightlane.aws.prices import (
    API_GATEWAY_REQUEST,
    DYNAMODB_READ_UNIT,
    DYNAMODB_WRITE_UNIT,
    LAMBDA_GB_SECOND_ARM64,
    LAMBDA_REQUEST,
)
from nightlane.domain.metrics import Metric

from ...resources import QUEUES, FunctionSpec
from .metrics import AVERAGE, MAXIMUM, MINUTE, Watched

Line = cloudwatch.Metric | cloudwatch.MathExpression
WIDTH, HEIGHT = 24, 6
MB_MILLISECONDS_PER_GB_SECOND = 1_024_000


class Dashboard(Construct):
    """The dashboard of one stack."""

    def __init__(
        self, scope: Construct, construct_id: str, *, watched: Watched, specs: tuple[FunctionSpec, ...]
    ) -> None:
        super().__init__(scope, construct_id)
        work = {queue.name for queue in QUEUES}
        workers = [spec.name for spec in specs if work.intersection(spec.queues)]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=watched.service,
            widgets=[
                [
                    _heading(
                        "Is work flowing?", "Batches are created, admitted and ended; lines are completed."
                    )
                ],
                _flow(watched, workers),
                [_heading("Is the upstream healthy?", "Your inference endpoint, as the workers see it.")],
                _upstream(watched),
                [_heading("Is anything broken?", "All of this should be flat at zero.")],
                _failures(watched),
                [_heading("What does it cost?", "Dollars per hour at list prices, without S3 and logs.")],
                _cost(watched, specs, workers),
            ],
        )


def _heading(title: str, text: str) -> cloudwatch.IWidget:
    return cloudwatch.TextWidget(markdown=f"## {title}\n{text}", width=WIDTH, height=2)


def _graph(
    title: str, unit: str, lines: Mapping[str, Line], *, stacked: bool = False, width: int = WIDTH // 4
) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(
        title=title,
        left=[metric.with_(label=label) for label, metric in lines.items()],
        left_y_axis=cloudwatch.YAxisProps(min=0, label=unit, show_units=False),
        stacked=stacked,
        period=MINUTE,
        width=width,
        height=HEIGHT,
    )


def _flow(watched: Watched, workers: list[str]) -> list[cloudwatch.IWidget]:
    own = watched.own
    lines = {
        "completed": own(Metric.LINES_COMPLETED),
        "failed": own(Metric.LINES_FAILED),
        "expired": own(Metric.LINES_EXPIRED),
        "cancelled": own(Metric.LINES_CANCELLED),
    }
    now = {
        "running": own(Metric.BATCHES_RUNNING, MAXIMUM),
        "waiting for admission": own(Metric.BATCHES_WAITING, MAXIMUM),
    }
    batches = {
        "created": own(Metric.BATCHES_CREATED),
        "completed": own(Metric.BATCHES_COMPLETED),
        "failed": own(Metric.BATCHES_FAILED),
        "expired": own(Metric.BATCHES_EXPIRED),
        "cancelled": own(Metric.BATCHES_CANCELLED),
    }
    waits = {name: own(Metric.QUEUE_WAIT, "p95", function=name) for name in workers}
    webhooks = {
        "delivered": own(Metric.WEBHOOKS_DELIVERED),
        "failed attempts": own(Metric.WEBHOOK_FAILURES),
        "given up": own(Metric.WEBHOOKS_GIVEN_UP),
    }
    requests = {"requests": "Count", "4xx": "4XXError", "5xx": "5XXError"}
    return [
        _graph("Lines per minute", "lines", lines, stacked=True, width=4),
        _graph("Batches at once", "batches", now, width=4),
        _graph("Batches per minute", "batches", batches, stacked=True, width=4),
        _graph(
            "Waiting times", "ms, p95", waits | {"for admission": own(Metric.ADMISSION_WAIT, "p95")}, width=4
        ),
        _graph(
            "API", "per minute", {label: watched.of_api(name) for label, name in requests.items()}, width=4
        ),
        _graph("Webhooks", "per minute", webhooks, width=4),
    ]


def _upstream(watched: Watched) -> list[cloudwatch.IWidget]:
    own = watched.own
    latency = {each: own(Metric.UPSTREAM_LATENCY, each) for each in ("p50", "p95", "p99")}
    refusals = {
        "refusals": own(Metric.UPSTREAM_REFUSALS),
        "failures": own(Metric.UPSTREAM_FAILURES),
        "resting lanes": own(Metric.UPSTREAM_DOWN),
    }
    in_flight = {"mean": own(Metric.IN_FLIGHT, AVERAGE), "maximum": own(Metric.IN_FLIGHT, MAXIMUM)}
    checkpoints = {each: own(Metric.CHECKPOINT_TIME, each) for each in ("p50", "p99")}
    return [
        _graph("Latency", "ms", latency),
        _graph("Refusals per minute", "answers", refusals, stacked=True),
        _graph("In flight per worker", "requests", in_flight),
        _graph("Checkpoints", "ms", checkpoints),
    ]


def _failures(watched: Watched) -> list[cloudwatch.IWidget]:
    own = watched.own
    dead = {
        "dead letters": own(Metric.DEAD_LETTERS),
        "messages not sent": own(Metric.MESSAGES_NOT_SENT),
        "stalled batches": own(Metric.BATCHES_STALLED),
        "overdue batches": own(Metric.BATCHES_OVERDUE, MAXIMUM),
        "stuck batches": own(Metric.WORK_STUCK, MAXIMUM),
    }
    share = {"of a checkpoint's lines": own(Metric.LINES_FAILED_SHARE, AVERAGE)}
    ages = {name: watched.of_queue(name, "ApproximateAgeOfOldestMessage") for name in watched.queues}
    errors = {name: watched.of_function(name, "Errors") for name in watched.functions}
    throttles = {name: watched.of_function(name, "Throttles") for name in watched.functions}
    hot = {f"table {kind.lower()}s": watched.of_table(f"{kind}ThrottleEvents") for kind in ("Read", "Write")}
    return [
        _graph("Dead and stuck", "count", dead, width=5),
        _graph("Failed lines", "percent", share, width=4),
        _graph("Oldest message", "s", ages, width=5),
        _graph("Function errors", "per minute", errors, width=5),
        _graph("Throttles", "per minute", throttles | hot, width=5),
    ]


def _cost(watched: Watched, specs: tuple[FunctionSpec, ...], workers: list[str]) -> list[cloudwatch.IWidget]:
    own = watched.own
    dollars = {
        "Lambda": _dollars_of_functions(watched, specs),
        "API Gateway": _dollars("requests", API_GATEWAY_REQUEST, watched.of_api("Count")),
        "DynamoDB writes": _dollars(
            "wcu", DYNAMODB_WRITE_UNIT, watched.of_table("ConsumedWriteCapacityUnits")
        ),
        "DynamoDB reads": _dollars("rcu", DYNAMODB_READ_UNIT, watched.of_table("ConsumedReadCapacityUnits")),
    }
    busy = {name: watched.of_function(name, "Duration") for name in watched.functions}
    at_once = {name: watched.of_function(name, "ConcurrentExecutions", MAXIMUM) for name in workers}
    tokens = {"prompt": own(Metric.PROMPT_TOKENS), "completion": own(Metric.COMPLETION_TOKENS)}
    return [
        _graph("Dollars per hour", "US dollars", dollars, stacked=True),
        _graph("Busy functions", "ms per minute", busy, stacked=True),
        _graph("Invocations at once", "invocations", at_once),
        _graph("Tokens per minute", "tokens", tokens, stacked=True),
    ]


def _dollars(name: str, price: float, metric: Line) -> cloudwatch.MathExpression:
    """Dollars per hour, from a count per minute and the price of one."""
    return cloudwatch.MathExpression(
        expression=f"{name}*{price * 60:.12f}", using_metrics={name: metric}, period=MINUTE
    )


def _dollars_of_functions(watched: Watched, specs: tuple[FunctionSpec, ...]) -> cloudwatch.MathExpression:
    """GB-seconds and requests of all functions, in dollars per hour.

    FILL is needed because a function that did not run has no data, and the sum would have none either.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    terms, using = [], {}
    for spec in specs:
        using[f"d_{spec.name}"] = watched.of_function(spec.name, "Duration")
        using[f"n_{spec.name}"] = watched.of_function(spec.name, "Invocations")
        price = spec.memory / MB_MILLISECONDS_PER_GB_SECOND * LAMBDA_GB_SECOND_ARM64
        terms += [
            f"FILL(d_{spec.name},0)*{price * 60:.12f}",
            f"FILL(n_{spec.name},0)*{LAMBDA_REQUEST * 60:.12f}",
        ]
    return cloudwatch.MathExpression(expression="+".join(terms), using_metrics=using, period=MINUTE)
