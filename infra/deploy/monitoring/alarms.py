"""The alarms. Each description says what happened; docs/operations.md says what to do.

They watch plain metrics: an alarm on an expression costs as much as one alarm per metric in it, and a
composite alarm as much as five.
https://aws.amazon.com/cloudwatch/pricing/
"""

from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from nightlane.domain.metrics import Metric

from ...resources import ASSEMBLE, DEAD_LETTER_QUEUES, NOTIFY, PLAN, FunctionSpec
from .. import camel_case
from .metrics import AVERAGE, FIVE_MINUTES, MAXIMUM, QUARTER_HOUR, SUM, Watched

# The alarms of lean monitoring. WorkStuck stands for the others, whose causes leave batches stuck: see
# docs/decisions/0023-lean-monitoring.md.
LEAN = frozenset(
    {"WorkStuck", "SweepStopped", "SweepErrors", "UpstreamDown", "LinesFail", "DeadLetters", "ApiErrors"}
)


@dataclass(frozen=True, slots=True)
class Watch:
    """One alarm: a metric that reaches a threshold for a number of its periods."""

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    description: str
    periods: int = 1
    when_missing: bool = False
    when_below: bool = False


class Alarms(Construct):
    """Every alarm of a stack, in the order of the dashboard, or the few of `lean`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        watched: Watched,
        specs: tuple[FunctionSpec, ...],
        topic_arn: str | None,
        lean: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        topic = sns.Topic.from_topic_arn(self, "Topic", topic_arn) if topic_arn else None
        every = [*_flow(watched, specs), *_upstream(watched), *_failures(watched, specs)]
        few = [_stuck(watched), *(watch for watch in every if watch.name in LEAN)]
        for watch in few if lean else every:
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
            alarm_description=watch.description,
            metric=watch.metric,
            threshold=watch.threshold,
            evaluation_periods=watch.periods,
            comparison_operator=less if watch.when_below else at_least,
            treat_missing_data=missing.BREACHING if watch.when_missing else missing.NOT_BREACHING,
        )


def _stuck(watched: Watched) -> Watch:
    return Watch(
        "WorkStuck",
        watched.own(Metric.WORK_STUCK, MAXIMUM, FIVE_MINUTES),
        1,
        "Batches make no progress, have not ended in time, or wait too long for plan or assemble.",
    )


def _flow(watched: Watched, specs: tuple[FunctionSpec, ...]) -> list[Watch]:
    own, of_function = watched.own, watched.of_function
    return [
        Watch(
            "BatchesStalled",
            own(Metric.BATCHES_STALLED, period=FIVE_MINUTES),
            1,
            "A running batch made no progress for ten minutes; its shards were sent again.",
        ),
        Watch(
            "BatchesOverdue",
            own(Metric.BATCHES_OVERDUE, MAXIMUM, FIVE_MINUTES),
            1,
            "A batch has not ended ten minutes after it expired: whatever ends batches does not work.",
        ),
        *(
            Watch(
                f"{camel_case(spec.name)}Stopped",
                of_function(spec.name, "Invocations", SUM, FIVE_MINUTES),
                1,
                f"{spec.name} has not run for five minutes: lost messages are not sent again.",
                when_missing=True,
                when_below=True,
            )
            for spec in specs
            if spec.every_seconds is not None
        ),
        Watch(
            "PlanQueueOld",
            _age(watched, PLAN.name),
            600,
            "A new batch has been waiting for plan for ten minutes.",
        ),
        Watch(
            "AssembleQueueOld",
            _age(watched, ASSEMBLE.name),
            1_800,
            "A batch whose lines are done has been waiting for its result files for half an hour.",
        ),
        Watch(
            "NotifyQueueOld",
            _age(watched, NOTIFY.name),
            600,
            "An event has been waiting for notify for ten minutes: webhooks are late.",
        ),
    ]


def _upstream(watched: Watched) -> list[Watch]:
    return [
        Watch(
            "UpstreamDown",
            # A rest is reported once, and may be longer than five minutes.
            watched.own(Metric.UPSTREAM_DOWN, period=QUARTER_HOUR),
            2,
            "The upstream refuses everything, so all lanes rest; lines wait, none is lost.",
        ),
        Watch(
            "LinesFail",
            watched.own(Metric.LINES_FAILED_SHARE, AVERAGE, FIVE_MINUTES),
            20,
            "A fifth or more of the lines in a checkpoint are error lines.",
            3,
        ),
    ]


def _failures(watched: Watched, specs: tuple[FunctionSpec, ...]) -> list[Watch]:
    of_function = watched.of_function
    letters = watched.own(Metric.DEAD_LETTERS, period=FIVE_MINUTES)
    given_up = "A message was given up: its lines became error lines, or its batch failed."
    stuck = "Dead letters are not processed: their batches do not end before they expire."
    failing = "The function keeps failing; its messages are delivered again."
    api_errors = watched.of_api("5XXError", SUM, FIVE_MINUTES)
    throttled = "The account's concurrency is used up, or too little is reserved for the worker."
    hot = "DynamoDB throttles requests: one partition is hot, or a quota is reached."
    return [
        Watch("DeadLetters", letters, 1, given_up),
        *(
            Watch(f"{camel_case(queue)}Stuck", _age(watched, queue), 900, stuck)
            for queue in DEAD_LETTER_QUEUES
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
        Watch("ApiErrors", api_errors, 5, "Clients got five 5xx responses within five minutes."),
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
