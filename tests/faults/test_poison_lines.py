"""Lines that crash their worker, and messages that cannot be processed."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from nightlane.domain.batch import BatchStatus
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.shard import LaneMessage
from tests.faults.faults import Crash
from tests.faults.lab import Lab, laboratory


@pytest.fixture
def lab() -> Iterator[Lab]:
    with laboratory() as bench:
        yield Lab(bench, requests_in_flight_per_worker=4, shard_max_lines=6)


def send(lab: Lab, queue: str, body: bytes) -> None:
    lanes = {"MessageGroupId": "a", "MessageDeduplicationId": "a"} if queue.startswith("infer") else {}
    lab.clients.sqs.send_message(QueueUrl=lab.world.urls[queue], MessageBody=body.decode(), **lanes)  # type: ignore[arg-type]


@pytest.mark.parametrize("poison", [0, 3, 5])
def test_a_line_that_crashes_its_worker_becomes_an_error_line(lab: Lab, poison: int) -> None:
    async def crash(key: str) -> None:
        await asyncio.sleep(0)
        if key == f"file-one/{poison}":
            lab.faults.dead = True
            raise Crash

    lab.upstream.meanwhile = crash
    batch_id = lab.create(lab.upload(6, "one"), "one")
    lab.settle()
    lab.check_end(poisoned=1)
    batch = lab.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 4, 2)
    errors = {line["custom_id"]: line for line in lab.lines(batch.error_file_id)}
    assert errors[f"request-{poison}"]["error"]["code"] == "server_error"
    assert errors["request-1"]["response"]["status_code"] == 400
    assert lab.upstream.asked[f"file-one/{poison}"] <= 7


def test_a_lane_that_cannot_be_run_becomes_error_lines(lab: Lab) -> None:
    batch_id = lab.create(lab.upload(6, "one"), "one")
    lab.deliver("plan")
    shards = read_manifest(lab.bare, lab.batch(batch_id)).shards
    lanes = {spec.lane for spec in shards}
    lab.clients.sqs.purge_queue(QueueUrl=lab.world.urls["infer"])
    for lane in lanes - {0}:
        lab.bare.queues.send_lanes([LaneMessage(batch_id, lane)], 2)
    send(lab, "infer-dead", msgspec.json.encode(LaneMessage(batch_id, 0)))
    lab.settle()
    batch = lab.batch(batch_id)
    assert batch.status is BatchStatus.COMPLETED
    errors = [line for line in lab.lines(batch.error_file_id) if line["error"]]
    assert len(errors) > 0
    assert {line["error"]["code"] for line in errors} == {"server_error"}
    assert batch.completed + batch.failed == 6


def test_a_batch_that_cannot_be_planned_fails(lab: Lab) -> None:
    batch_id = lab.create(lab.upload(2, "one"), "one")
    lab.clients.sqs.purge_queue(QueueUrl=lab.world.urls["plan"])
    send(lab, "dead", msgspec.json.encode({"batch_id": batch_id}))
    lab.settle()
    batch = lab.batch(batch_id)
    assert batch.status is BatchStatus.FAILED
    assert [error.code for error in batch.errors] == ["server_error"]


def test_an_assembly_whose_message_was_dead_lettered_is_started_again(lab: Lab) -> None:
    batch_id = lab.create(lab.upload(2, "one"), "one")
    while not lab.world.count(lab.world.urls["assemble"]):
        lab.deliver("plan")
        lab.deliver("infer")
    lab.clients.sqs.purge_queue(QueueUrl=lab.world.urls["assemble"])
    send(lab, "dead", msgspec.json.encode({"batch_id": batch_id}))
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.COMPLETED
