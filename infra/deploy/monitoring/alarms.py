"""Alarms: each says in its description what it means; docs/operations.md says what to do.

On plain metrics, for an alarm on an expression costs as much as alarms on all that is in it.
https://aws.amazon.com/cloudwatch/pricing/
"""

from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.deploy import camel_case
from infra.deploy.monitoring.metrics import AVERAGE, FIVE_MINUTES, MAXIMUM, QUARTER_HOUR, SUM, Watched
from infra.resources import ASSEMBLE, PLAN, QUEUES, FunctionSpec
from nightlane.domain.metrics import Metric


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
    """Every alarm of a stack, in the order of the dashboard."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        watched: Watched,
        specs: tuple[FunctionSpec, ...],
        topic_arn: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        topic = sns.Topic.from_topic_arn(self, "Topic", topic_arn) if topic_arn else None
        watches = [*_flow(watched, specs), *_upstream(watched), *_trouble(watched, specs)]
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


def _flow(watched: Watched, specs: tuple[FunctionSpec, ...]) -> list[Watch]:
    own, of_function = watched.own, watched.of_function
    return [
        Watch(
            "BatchesStalled",
            own(Metric.BATCHES_STALLED, period=FIVE_MINUTES),
            1,
            "No worker got on with a running batch for ten minutes; its shards were sent again.",
        ),
        Watch(
            "BatchesOverdue",
            own(Metric.BATCHES_OVERDUE, MAXIMUM, FIVE_MINUTES),
            1,
            "A batch is open ten minutes after it expired: what ends batches does not work.",
        ),
        *(
            Watch(
                f"{camel_case(spec.name)}Stopped",
                of_function(spec.name, "Invocations", SUM, FIVE_MINUTES),
                1,
                f"{spec.name} has not run for five minutes: nothing that is lost is found again.",
                missing_is_bad=True,
                below=True,
            )
            for spec in specs
            if spec.every_seconds is not None
        ),
        Watch("PlanQueueOld", _age(watched, PLAN.name), 600, "A new batch has waited ten minutes for plan."),
        Watch(
            "AssembleQueueOld",
            _age(watched, ASSEMBLE.name),
            1_800,
            "A batch that is done has had no result files for half an hour.",
        ),
    ]


def _upstream(watched: Watched) -> list[Watch]:
    return [
        Watch(
            "UpstreamDown",
            # A rest may be longer than five minutes, and says so once.
            watched.own(Metric.UPSTREAM_DOWN, period=QUARTER_HOUR),
            2,
            "Workers get nothing but refusals, and all lanes rest; lines wait, none is lost.",
        ),
        Watch(
            "LinesFail",
            watched.own(Metric.LINES_FAILED_SHARE, AVERAGE, FIVE_MINUTES),
            20,
            "A fifth or more of the lines of a checkpoint end as errors.",
            3,
        ),
    ]


def _trouble(watched: Watched, specs: tuple[FunctionSpec, ...]) -> list[Watch]:
    of_function = watched.of_function
    letters = watched.own(Metric.DEAD_LETTERS, period=FIVE_MINUTES)
    given_up = "A message was given up; its lines became error lines, or its batch failed."
    stuck = "Dead letters are not dealt with: their batches end no sooner than they expire."
    failing = "The function fails again and again; its messages come again."
    api_errors = watched.of_api("5XXError", SUM, FIVE_MINUTES)
    throttled = "The account's concurrency is used up, or less than the worker's is reserved."
    hot = "DynamoDB serves less than is asked of it: one partition is hot, or a quota is reached."
    return [
        Watch("DeadLetters", letters, 1, given_up),
        *(
            Watch(f"{camel_case(queue.dead_letters)}Stuck", _age(watched, queue.dead_letters), 900, stuck)
            for queue in QUEUES
        ),
        *(
            Watch(
                f"{camel_case(spec.name)}Errors",
                of_function(spec.name, "Errors", SUM, FIVE_MINUTES),
                3,
                failing,
                3,
            )
            for spec in specs
            if spec.is_background
        ),
        Watch("ApiErrors", api_errors, 5, "Clients were answered with 5xx five times in five minutes."),
        *(
            Watch(
                f"{camel_case(spec.name)}Throttles",
                of_function(spec.name, "Throttles", SUM, FIVE_MINUTES),
                10,
                throttled,
                3,
            )
            for spec in specs
            if spec.alarms_when_throttled
        ),
        *(
            Watch(f"Table{kind}Throttles", watched.of_table(f"{kind}ThrottleEvents"), 100, hot, 5)
            for kind in ("Read", "Write")
        ),
    ]


def _age(watched: Watched, queue: str) -> cloudwatch.Metric:
    return watched.of_queue(queue, "ApproximateAgeOfOldestMessage")
