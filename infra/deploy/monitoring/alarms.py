"""Alarms: each says in its description what it means; docs/operations.md says what to do."""

from collections.abc import Callable
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.deploy.monitoring.metrics import FIVE_MINUTES, MAXIMUM, MINUTE, SUM, Watched
from infra.resources import ASSEMBLE, PLAN, QUEUES
from nightlane.domain.metrics import Metric

BACKGROUND = ("plan", "infer", "assemble", "sweep", "bury")
FOREGROUND = ("api", "authorize")


@dataclass(frozen=True, slots=True)
class Watch:
    """One alarm: too much of a metric, for so many of its periods."""

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    means: str
    periods: int = 1
    missing_is_bad: bool = False
    below: bool = False


class Alarms(Construct):
    """Every alarm of a stack; `names` in the order of the dashboard."""

    def __init__(
        self, scope: Construct, construct_id: str, *, watched: Watched, topic_arn: str | None
    ) -> None:
        super().__init__(scope, construct_id)
        topic = sns.Topic.from_topic_arn(self, "Topic", topic_arn) if topic_arn else None
        watches = [*_flow(watched), *_upstream(watched), *_trouble(watched)]
        self.names = tuple(watch.name for watch in watches)
        for watch in watches:
            alarm = self._alarm(watch, watched.service)
            if topic is not None:
                alarm.add_alarm_action(actions.SnsAction(topic))
                alarm.add_ok_action(actions.SnsAction(topic))

    def _alarm(self, watch: Watch, service: str) -> cloudwatch.Alarm:
        at_least = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
        less = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        missing = cloudwatch.TreatMissingData
        return cloudwatch.Alarm(
            self,
            watch.name,
            alarm_name=f"{service}-{watch.name}",
            alarm_description=watch.means,
            metric=watch.metric,
            threshold=watch.threshold,
            evaluation_periods=watch.periods,
            comparison_operator=less if watch.below else at_least,
            treat_missing_data=missing.BREACHING if watch.missing_is_bad else missing.NOT_BREACHING,
        )


def _flow(watched: Watched) -> list[Watch]:
    own = watched.own
    idle = cloudwatch.MathExpression(
        expression="IF(FILL(running,0)>0 AND FILL(completed,0)+FILL(failed,0)==0,1,0)",
        using_metrics={
            "running": own(Metric.BATCHES_RUNNING, "running", MAXIMUM, FIVE_MINUTES),
            "completed": own(Metric.LINES_COMPLETED, "completed", period=FIVE_MINUTES),
            "failed": own(Metric.LINES_FAILED, "failed", period=FIVE_MINUTES),
        },
        label="running without progress",
        period=FIVE_MINUTES,
    )
    (sweeps,) = watched.of_functions("Invocations", SUM, ("sweep",), FIVE_MINUTES)
    return [
        Watch("NoProgress", idle, 1, "A batch runs, and no line of any was answered for half an hour.", 6),
        Watch(
            "OverdueBatches",
            own(Metric.BATCHES_OVERDUE, "overdue", MAXIMUM, FIVE_MINUTES),
            1,
            "A batch is open ten minutes after it expired: what ends batches does not work.",
        ),
        Watch(
            "SweepStopped",
            sweeps,
            1,
            "The sweeper has not run for five minutes: nothing lost is found again.",
            missing_is_bad=True,
            below=True,
        ),
        Watch(
            "PlanQueueOld",
            _age(watched, PLAN.name),
            600,
            "A new batch has not been looked at for ten minutes.",
        ),
        Watch(
            "AssembleQueueOld",
            _age(watched, ASSEMBLE.name),
            1_800,
            "A batch that is done has had no result files for half an hour.",
        ),
    ]


def _upstream(watched: Watched) -> list[Watch]:
    own = watched.own
    completed = own(Metric.LINES_COMPLETED, "completed", period=FIVE_MINUTES)
    failed = own(Metric.LINES_FAILED, "failed", period=FIVE_MINUTES)
    errors = own(Metric.UPSTREAM_ERRORS, "5xx", period=FIVE_MINUTES)
    unreachable = own(Metric.UPSTREAM_UNREACHABLE, "no answer", period=FIVE_MINUTES)
    return [
        Watch(
            "LinesFail",
            _share((failed,), (completed,)),
            20,
            "A fifth of the lines or more end as errors.",
            3,
        ),
        Watch(
            "UpstreamDown",
            _share((errors, unreachable), (completed, failed)),
            50,
            "Half of the tries or more get a 5xx or no answer; the lines wait, none is lost.",
            3,
        ),
    ]


def _trouble(watched: Watched) -> list[Watch]:
    own, functions = watched.own, watched.of_functions
    dead = [_age(watched, queue.dead_letters) for queue in QUEUES]
    return [
        Watch(
            "DeadLetters",
            own(Metric.DEAD_LETTERS, "dead letters", period=FIVE_MINUTES),
            1,
            "A message was given up; its lines became error lines, or its batch failed.",
        ),
        Watch(
            "DeadLettersStuck",
            _largest(*dead),
            900,
            "Dead letters are not buried: their batches do not end until they expire.",
        ),
        Watch(
            "BackgroundErrors",
            _total(*functions("Errors", SUM, BACKGROUND, FIVE_MINUTES)),
            3,
            "Functions behind the queues fail; their messages come again.",
            3,
        ),
        Watch(
            "ApiErrors",
            _total(
                watched.of_api("5XXError", SUM, "5xx", FIVE_MINUTES),
                *functions("Errors", SUM, FOREGROUND, FIVE_MINUTES),
            ),
            5,
            "Clients are answered with 5xx.",
        ),
        Watch(
            "FunctionThrottles",
            _total(*functions("Throttles", SUM, None, FIVE_MINUTES)),
            10,
            "The account's concurrency is used up.",
            3,
        ),
        Watch(
            "TableThrottles",
            _total(
                watched.of_table("ReadThrottleEvents", "reads"),
                watched.of_table("WriteThrottleEvents", "writes"),
            ),
            100,
            "DynamoDB refuses more than it serves from one partition, or than the account's quota.",
            5,
        ),
    ]


def _age(watched: Watched, queue: str) -> cloudwatch.Metric:
    return watched.queues[queue].metric("ApproximateAgeOfOldestMessage", statistic=MAXIMUM, period=MINUTE)


def _combined(
    expression: Callable[[list[str]], str], metrics: tuple[cloudwatch.IMetric, ...]
) -> cloudwatch.MathExpression:
    names = [f"m{number}" for number in range(len(metrics))]
    return cloudwatch.MathExpression(
        expression=expression(names),
        using_metrics=dict(zip(names, metrics, strict=True)),
        period=FIVE_MINUTES,
    )


def _total(*metrics: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    return _combined(lambda names: "+".join(f"FILL({name},0)" for name in names), metrics)


def _largest(*metrics: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    return _combined(lambda names: f"MAX([{','.join(f'FILL({name},0)' for name in names)}])", metrics)


def _share(part: tuple[cloudwatch.IMetric, ...], rest: tuple[cloudwatch.IMetric, ...]) -> cloudwatch.IMetric:
    """The part of the whole in per cent; nothing of nothing is nothing."""

    def expression(names: list[str]) -> str:
        filled = [f"FILL({name},0)" for name in names]
        numerator, whole = "+".join(filled[: len(part)]), "+".join(filled)
        return f"IF(({whole})>0,100*({numerator})/({whole}),0)"

    return _combined(expression, (*part, *rest))
