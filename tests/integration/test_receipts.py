"""The receipt of a batch, an extension: what was counted, and a bill that agrees with the calls made."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nightlane.aws.prices import call_price
from nightlane.aws.receipts import calls_and_costs
from nightlane.domain.batch import BatchStatus
from nightlane.domain.receipts import get_receipt
from nightlane.settings import Settings
from tests.store.machine import OneMachine
from tests.upstream import Upstream, only, question, refusal, serving
from tests.world import TENANT, World, moto_world, requests

LINES = 60
SERVICES = ("dynamodb", "s3", "sqs")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving(Upstream()) as upstream:
        yield upstream


@pytest.fixture
def nightlane(upstream: Upstream) -> Iterator[World]:
    settings = Settings(
        upstreams=only(upstream.url),
        max_concurrent_requests_per_batch=4,
        requests_in_flight_per_worker=2,
        shard_max_lines=20,
    )
    with moto_world(settings) as world:
        yield world


@contextmanager
def counting(world: World) -> Iterator[Counter[str]]:
    """Count the calls to AWS of all functions and of the pollers."""
    calls: Counter[str] = Counter()
    for service in SERVICES:
        client: Any = getattr(world.clients, service)

        def note(model: Any, service: str = service, **_: Any) -> None:
            calls[f"{service}:{model.name}"] += 1

        client.meta.events.register("before-call", note)
    yield calls


def receipt_of(world: World, batch_id: str) -> Any:
    status, body = world.call("GET", f"/batches/{batch_id}/receipt")
    assert status == 200
    return body


def test_a_receipt_says_what_a_batch_took(nightlane: World, upstream: Upstream) -> None:
    data = requests(LINES)
    batch_id = nightlane.create(nightlane.upload(data))
    nightlane.run()
    batch, receipt = nightlane.batch(batch_id), receipt_of(nightlane, batch_id)
    assert batch.status is BatchStatus.COMPLETED
    assert (receipt["object"], receipt["batch_id"], receipt["is_final"]) == ("batch.receipt", batch_id, True)
    assert receipt["lines"] == {"total": LINES, "completed": LINES, "failed": 0, "unfinished": 0}
    assert receipt["usage"]["total_tokens"] == batch.usage.total_tokens > 0
    assert receipt["estimated_prompt_tokens"] == batch.size.prompt_tokens > LINES
    assert receipt["requests"] == {"sent": len(upstream.raw), "refused": 0}
    output = nightlane.ports.files.get_file(str(batch.output_file_id))
    assert output is not None
    work = receipt["work"]
    assert (work["lanes"], work["shards"]) == (2, batch.shards_total)
    # A lane that finds nothing left to do commits nothing.
    assert work["invocations"] in (1, 2)
    assert work["checkpoints"] >= work["shards"]
    assert work["input_bytes"] == len(data) - LINES
    # A record in a part has a few bytes more than its line.
    assert output.size < work["output_bytes"] < 1.5 * output.size
    assert 0 < receipt["seconds"]["in_flight"] < 4 * receipt["seconds"]["worker"]


def test_a_receipt_counts_refusals(nightlane: World, upstream: Upstream) -> None:
    upstream.script = lambda body, seen: refusal(429) if seen == 0 and "0?" in question(body) else None
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    receipt = receipt_of(nightlane, batch_id)
    assert receipt["requests"] == {"sent": 5, "refused": 1}


def test_the_bill_agrees_with_the_calls_that_were_made(nightlane: World) -> None:
    file_id = nightlane.upload(requests(LINES))
    with counting(nightlane) as calls:
        batch_id = nightlane.create(file_id)
        nightlane.run()
    receipt = receipt_of(nightlane, batch_id)
    # The upload is in the bill, too; a test receives without waiting, so it asks empty queues more often.
    calls += Counter({"dynamodb:PutItem": 1, "s3:PutObject": 1})
    calls["sqs:ReceiveMessage"] = receipt["aws"]["calls"]["sqs:ReceiveMessage"]
    billed = Counter(receipt["aws"]["calls"])
    for name in ("dynamodb:TransactWriteItems", "s3:PutObject", "s3:CopyObject", "sqs:SendMessageBatch"):
        assert billed[name] == calls[name], name
    dollars = [
        sum(call_price(name, count, count) for name, count in each.items()) for each in (billed, calls)
    ]
    assert dollars[0] == pytest.approx(dollars[1], rel=0.25)
    services = {each["service"]: each["dollars"] for each in receipt["aws"]["services"]}
    assert set(services) == {
        "Lambda infer",
        "Lambda, other functions",
        "API Gateway",
        "DynamoDB",
        "S3",
        "SQS",
    }
    assert receipt["aws"]["dollars"] == pytest.approx(sum(services.values()))
    assert receipt["aws"]["is_estimate"] is False


def test_a_batch_that_has_not_run_has_waited_and_costs_only_what_every_batch_does(nightlane: World) -> None:
    file_id = nightlane.upload(requests(2))
    first, second = (nightlane.create(file_id) for _ in range(2))
    nightlane.deliver("plan")
    nightlane.deliver("plan")
    nightlane.pass_time(50)
    waiting = first if nightlane.batch(first).in_progress_at is None else second
    receipt = receipt_of(nightlane, waiting)
    assert not receipt["is_final"]
    most = nightlane.ports.now() - nightlane.batch(waiting).created_at
    assert 50 <= receipt["seconds"]["waiting"] <= most
    assert receipt["seconds"]["running"] == receipt["requests"]["sent"] == receipt["work"]["checkpoints"] == 0
    assert 0 < receipt["aws"]["dollars"] < 0.001
    failed = nightlane.create("file-unknown")
    nightlane.run()
    assert receipt_of(nightlane, failed)["status"] == "failed"


def test_one_machine_shows_what_aws_would_have_billed(tmp_path: Path) -> None:
    machine = OneMachine(tmp_path / "data")
    batch_id = machine.create(25)
    machine.work()
    receipt = get_receipt(machine.ports, TENANT, batch_id)
    assert receipt.is_estimate
    assert receipt.batch.tally.requests == 25
    calls, costs = calls_and_costs(receipt)
    # On AWS a short batch has one checkpoint for each shard, and one worker for each lane.
    size, shards = receipt.batch.size, receipt.batch.shards_total
    assert calls["dynamodb:TransactWriteItems"] == 3 + shards
    (infer,) = [cost.requests for cost in costs if cost.item == "Lambda infer"]
    assert infer == size.lanes
    machine.close()
