"""The AWS bill for a million requests of 5 s, from the calls that a batch really makes.

Time is scaled: the upstream takes 0.5 s, and the intervals of the deployed system are shortened by the same
factor, so the calls are those of a batch whose requests take 5 s. Only infer's Lambda time is computed, for
5 s and 100 requests in flight; the time of the other functions is as measured.
"""

import time

from bench.batches import input_file, run_batch, start_rig
from bench.result import Figure, Result
from infra.cli.mock.process import MockUpstream
from nightlane.aws.prices import (
    API_GATEWAY_REQUEST,
    LAMBDA_GB_SECOND_ARM64,
    LAMBDA_REQUEST,
    MB_PER_GB,
    MILLION,
    call_price,
    lambda_price,
)
from nightlane.settings import Settings
from tests.rig.ledger import Ledger

LINES = 10_000
IN_FLIGHT = 100
REQUEST_SECONDS = 5.0
SCALE = 10


def measure(max_lines: int) -> Result:
    """The calls of a batch, and US dollars per million lines."""
    lines = min(LINES, max_lines)
    ledger = measure_use(lines)
    infer = ledger.functions["infer"]
    waiting = REQUEST_SECONDS / IN_FLIGHT * infer.memory_mb / MB_PER_GB * LAMBDA_GB_SECOND_ARM64
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
    figures += [Figure(name, part, "US dollars per million") for name, part in dollars.items()]
    figures.append(Figure("the bill", sum(dollars.values()), "US dollars per million", "≤ 0.40"))
    return Result(figures)


def measure_use(lines: int) -> Ledger:
    """What one batch used."""
    deployed = Settings()
    with (
        MockUpstream(latency_mean=REQUEST_SECONDS / SCALE) as upstream,
        start_rig(
            upstream.url,
            max_concurrent_requests_per_batch=IN_FLIGHT,
            shard_max_lines=deployed.shard_max_lines,
            checkpoint_seconds=deployed.checkpoint_seconds / SCALE,
            watch_seconds=deployed.watch_seconds / SCALE,
            worker_lease_seconds=round(deployed.worker_lease_seconds / SCALE),
        ) as rig,
    ):
        run_batch(rig, input_file(lines))
        # The event of the batch's end is delivered after it.
        while not rig.ledger.functions["notify"].milliseconds:
            time.sleep(0.05)
        time.sleep(1)
        # On a slow machine its minute comes before the batch has ended. It is in the bill of an idle stack.
        rig.ledger.functions.pop("sweep", None)
        return rig.ledger
