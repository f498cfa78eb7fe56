"""The AWS bill of a million requests of 5 s, from the calls that a batch really makes.

Time is scaled: the upstream takes 0.2 s, and every interval of the deployed system is as much
shorter, so the calls are those of a batch whose requests take 5 s. Lambda's bill is for the
time that 100 requests in flight take, and for every other invocation as measured.
"""

from bench.batches import input_file, rig, run_batch
from bench.result import Figure, Result
from infra.cli.mock.process import MockUpstream
from infra.prices import (
    API_GATEWAY_REQUEST,
    LAMBDA_GB_SECOND_ARM64,
    LAMBDA_REQUEST,
    MB_A_GB,
    MILLION,
    call_price,
    lambda_price,
)
from nightlane.settings import Settings
from tests.rig.ledger import Ledger

LINES = 10_000
IN_FLIGHT = 100
REQUEST_SECONDS = 5.0
SCALE = 25


def measure(most_lines: int) -> Result:
    """The calls of a batch, and US dollars a million of its lines."""
    lines = min(LINES, most_lines)
    ledger = used(lines)
    infer = ledger.functions["infer"]
    waiting = REQUEST_SECONDS / IN_FLIGHT * infer.memory_mb / MB_A_GB * LAMBDA_GB_SECOND_ARM64
    parts = {
        f"Lambda infer, {IN_FLIGHT} in flight": waiting + infer.invocations * LAMBDA_REQUEST / lines,
        "Lambda, other functions": 0.0,
        "API Gateway": ledger.functions["api"].invocations * API_GATEWAY_REQUEST / lines,
        **{f"{service} calls": 0.0 for service in ("dynamodb", "s3", "sqs")},
    }
    for name, use in ledger.functions.items():
        if name != "infer":
            price = lambda_price(use.invocations, use.milliseconds / 1e3, use.memory_mb)
            parts["Lambda, other functions"] += price / lines
    calls, units = ledger.calls(), ledger.units()
    for name, count in calls.items():
        parts[f"{name.split(':')[0]} calls"] += call_price(name, count, units[name] or count) / lines
    dollars = {name: part * MILLION for name, part in parts.items()}
    figures = [
        Figure(f"{name} in a batch of {lines:,} lines", count, "calls")
        for name, count in sorted(calls.items())
    ]
    figures += [Figure(name, part, "US dollars a million") for name, part in dollars.items()]
    figures.append(Figure("the bill", sum(dollars.values()), "US dollars a million", "≤ 0.60"))
    return Result(figures)


def used(lines: int) -> Ledger:
    """The use of one batch."""
    deployed = Settings()
    with (
        MockUpstream(latency_mean=REQUEST_SECONDS / SCALE) as upstream,
        rig(
            upstream.url,
            max_concurrent_requests_per_batch=IN_FLIGHT,
            shard_max_lines=deployed.shard_max_lines,
            checkpoint_seconds=deployed.checkpoint_seconds / SCALE,
            watch_seconds=deployed.watch_seconds / SCALE,
            worker_lease_seconds=round(deployed.worker_lease_seconds / SCALE),
        ) as place,
    ):
        run_batch(place, input_file(lines))
        return place.ledger
