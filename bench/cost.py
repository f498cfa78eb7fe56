"""The AWS bill of a million requests of 5 s, from the calls that a batch really makes.

Time is scaled: the upstream takes 0.2 s, and every interval of the deployed system is as much
shorter, so the calls are those of a batch whose requests take 5 s. Lambda's bill is for the
time that 100 requests in flight take, and for every other invocation as measured.
"""

from bench.batches import input_file, rig, run_batch
from bench.report import Figure, report
from infra.cli.mock.process import MockUpstream
from infra.prices import (
    API_GATEWAY_REQUEST,
    LAMBDA_GB_SECOND_ARM64,
    LAMBDA_REQUEST,
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
MB_A_GB = 1_024


def measured() -> Ledger:
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
        run_batch(place, input_file(LINES))
        return place.ledger


def main() -> None:
    ledger = measured()
    share = MILLION / LINES
    calls, units = ledger.calls(), ledger.units()
    by_service: dict[str, float] = {}
    for name, count in calls.items():
        service = name.split(":")[0]
        price = call_price(name, count, units[name] or count)
        by_service[service] = by_service.get(service, 0.0) + price * share
    infer = ledger.functions["infer"]
    waiting = MILLION * REQUEST_SECONDS / IN_FLIGHT * infer.memory_mb / MB_A_GB * LAMBDA_GB_SECOND_ARM64
    invoking = infer.invocations * LAMBDA_REQUEST * share
    others = share * sum(
        lambda_price(use.invocations, use.milliseconds / 1e3, use.memory_mb)
        for name, use in ledger.functions.items()
        if name != "infer"
    )
    api = ledger.functions["api"].invocations * API_GATEWAY_REQUEST * share
    parts = {
        f"Lambda infer, {IN_FLIGHT} in flight": waiting + invoking,
        "Lambda, other functions": others,
        "API Gateway": api,
        **{f"{service} calls": price for service, price in sorted(by_service.items())},
    }
    figures = [
        Figure(f"{name} in a batch of {LINES:,} lines", count, "calls")
        for name, count in sorted(calls.items())
    ]
    figures += [Figure(name, dollars, "US dollars a million") for name, dollars in parts.items()]
    figures.append(Figure("the bill", sum(parts.values()), "US dollars a million", "≤ 0.60"))
    report("cost", figures)
