"""The monthly bill of a stack that nobody uses: from its template, and what a sweep was measured to use."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.batches import start_rig
from bench.dashboard import synthesise_template
from bench.result import RESULTS, Figure, Result, load
from bench.tables import markdown
from infra.deploy.deployment import Monitoring
from infra.resources import QUEUES
from nightlane.aws import prices
from nightlane.domain.metrics import Metric

Template = Mapping[str, Any]
MONTH_MINUTES = 30 * 24 * 60
# An idle event source with MaximumConcurrency is assumed to keep five pollers; without, two may be left. Each
# receive waits 20 s. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLERS_WITH_MAXIMUM, POLLERS = 5, 2
RECEIVES_PER_MINUTE = 3
# The key of one upstream. The operator stores it, so the template does not have it.
SECRETS = 1
NO_UPSTREAM = "http://127.0.0.1:9/v1"
# QueueWait is reported by function. Those by upstream and kind, while it refuses or fails, come on top.
OWN_METRICS = len(Metric) - 1 + len(QUEUES)
CALLS, MILLISECONDS, METRICS = "calls", "ms", "metrics"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one idle sweep uses."""

    calls: Mapping[str, float]
    milliseconds: float
    metrics: int
    """How many metrics it publishes."""

    @classmethod
    def measured(cls) -> "Sweep":
        """As `python -m bench idle` measured it last."""
        figures = load(RESULTS / "idle.json").figures
        by_unit = {
            unit: {each.name: each.value for each in figures if each.unit == unit}
            for unit in (CALLS, MILLISECONDS, METRICS)
        }
        (milliseconds,) = by_unit[MILLISECONDS].values()
        (metrics,) = by_unit[METRICS].values()
        return cls(by_unit[CALLS], milliseconds, int(metrics))


def measure(_max_lines: int) -> Result:
    """An idle sweep on this machine, and the bill that follows."""
    sweep = idle_sweep()
    return Result(
        [
            *(Figure(name, calls, CALLS) for name, calls in sorted(sweep.calls.items())),
            Figure("an idle sweep, on this machine", sweep.milliseconds, MILLISECONDS),
            Figure("published by an idle sweep", sweep.metrics, METRICS),
            *(
                Figure(
                    f"idle stack, monitoring {mode.value}", sum(bill.values()), "US dollars per month", bar
                )
                for mode, bar in ((Monitoring.FULL, ""), (Monitoring.LEAN, "≤ 3"))
                for bill in [idle_bill(synthesise_template(monitoring=mode), sweep)]
            ),
        ]
    )


def idle_sweep(sweeps: int = 20) -> Sweep:
    """What the sweeper uses on average when there is nothing to do."""
    with start_rig(NO_UPSTREAM, tick_seconds=0.5) as rig:
        use = rig.ledger.of("sweep")
        while not use.milliseconds:
            time.sleep(0.05)
        rig.ledger.clear()
        while use.invocations < sweeps:
            time.sleep(0.05)
        time.sleep(0.3)
        calls = {name: count / use.invocations for name, count in use.calls.items()}
        return Sweep(calls, use.milliseconds / use.invocations, len(rig.ledger.points()))


def idle_bill(template: Template, sweep: Sweep) -> dict[str, float]:
    """US dollars per month by what costs them, without free tiers."""
    functions = [timed_function(template, rule) for rule in timers(template)]
    sweeps = sum(MONTH_MINUTES / minutes_between(rule) for rule in timers(template))
    memory_mb = max(each["MemorySize"] for each in functions)
    traced = any(each.get("TracingConfig") == {"Mode": "Active"} for each in functions)
    per_sweep = sum(prices.call_price(name, 1, 1) * calls for name, calls in sweep.calls.items())
    return {
        "sweep every minute: Lambda": prices.lambda_price(
            sweeps, sweeps * sweep.milliseconds / 1e3, memory_mb
        ),
        "sweep: DynamoDB": sweeps * per_sweep,
        "sweep: traces": sweeps * traced * prices.XRAY_TRACE,
        "sweep: metrics": sweep.metrics * prices.CLOUDWATCH_METRIC,
        "SQS: empty receives": sum(receives(template).values()),
        "alarms": alarm_metrics(template) * prices.CLOUDWATCH_ALARM
        + len(of_type(template, "AWS::CloudWatch::CompositeAlarm")) * prices.CLOUDWATCH_COMPOSITE_ALARM,
        "dashboard": len(of_type(template, "AWS::CloudWatch::Dashboard")) * prices.CLOUDWATCH_DASHBOARD,
        "secret with the key of the upstream": SECRETS * prices.SECRET,
    }


def table(full: Template, lean: Template) -> str:
    """The bills of both kinds of monitoring, and what their own metrics cost at most in use."""
    sweep = Sweep.measured()
    one, other = (idle_bill(each, sweep) for each in (full, lean))
    counts = {
        "SQS: empty receives": [len(receives(each)) for each in (full, lean)],
        "alarms": [alarm_metrics(each) for each in (full, lean)],
    }
    rows = [[_counted(name, counts.get(name)), f"{one[name]:.2f}", f"{other[name]:.2f}"] for name in one]
    rows.append(["total", *(f"{sum(each.values()):.2f}" for each in (one, other))])
    in_use = f"{OWN_METRICS * prices.CLOUDWATCH_METRIC:.2f}"
    rows.append([f"{OWN_METRICS} metrics, if batches ran all month", in_use, in_use])
    return markdown(["US dollars a month", "full", "lean"], rows)


def deployed_table() -> str:
    """`table` of freshly synthesised templates."""
    full, lean = (synthesise_template(monitoring=each) for each in (Monitoring.FULL, Monitoring.LEAN))
    return table(full, lean)


def _counted(name: str, counts: list[int] | None) -> str:
    if counts is None:
        return name
    of = "event sources" if "SQS" in name else "metrics"
    return f"{name} ({' or '.join(map(str, sorted(set(counts), reverse=True)))} {of})"


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of the resources of a type, by logical id."""
    resources = template["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in resources if each["Type"] == kind}


def timers(template: Template) -> list[dict[str, Any]]:
    """The rules that call a function at intervals; they cost nothing themselves."""
    rules = of_type(template, "AWS::Events::Rule").values()
    return [rule for rule in rules if "ScheduleExpression" in rule]


def minutes_between(rule: Mapping[str, Any]) -> int:
    """The interval of a timer. Raises: ValueError, if it is not written in minutes."""
    number, unit = rule["ScheduleExpression"].removeprefix("rate(").removesuffix(")").split()
    if unit not in ("minute", "minutes"):
        raise ValueError(rule["ScheduleExpression"])
    return int(number)


def timed_function(template: Template, rule: Mapping[str, Any]) -> dict[str, Any]:
    """The function that a timer calls."""
    (target,) = rule["Targets"]
    return of_type(template, "AWS::Lambda::Function")[target["Arn"]["Fn::GetAtt"][0]]


def receives(template: Template) -> dict[str, float]:
    """US dollars per month of the empty receives of each event source."""
    queues = of_type(template, "AWS::SQS::Queue")
    costs = {}
    for name, source in of_type(template, "AWS::Lambda::EventSourceMapping").items():
        fifo = queues[source["EventSourceArn"]["Fn::GetAtt"][0]].get("FifoQueue", False)
        price = prices.SQS_REQUEST if fifo else prices.SQS_STANDARD_REQUEST
        pollers = POLLERS_WITH_MAXIMUM if "ScalingConfig" in source else POLLERS
        costs[name] = pollers * RECEIVES_PER_MINUTE * MONTH_MINUTES * price
    return costs


def alarm_metrics(template: Template) -> int:
    """The metrics that alarms watch, each of which costs as much as an alarm."""
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    return sum(sum("MetricStat" in each for each in alarm.get("Metrics", ())) or 1 for alarm in alarms)
