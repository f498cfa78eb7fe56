"""The sweeper: it handles what is due, leaves healthy batches alone, and costs little when idle."""

from collections.abc import Iterator

import pytest

from nightlane.domain.batch import BatchStatus
from tests.faults.lab import Bench, Lab, laboratory

# The index; the slots and, if one is free, the batches waiting for it; the outbox; the two gauges.
INDEX, EVENTS, GAUGES = ["dynamodb:Query"] * 8, "dynamodb:Query", ["dynamodb:Query", "dynamodb:GetItem"]
ALL_SLOTS_USED = [*INDEX, "dynamodb:GetItem", EVENTS, *GAUGES]
NOTHING_DUE = [*INDEX, "dynamodb:GetItem", "dynamodb:Query", EVENTS, *GAUGES]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as made:
        yield made


@pytest.fixture
def lab(bench: Bench) -> Lab:
    bench.faults.arm()
    return Lab(bench)


def calls_of_a_sweep(lab: Lab) -> list[str]:
    before = len(lab.faults.names)
    lab.sweep()
    return lab.faults.names[before:]


def test_an_idle_sweep_only_reads_the_index_the_waiting_list_and_the_slots(lab: Lab) -> None:
    assert calls_of_a_sweep(lab) == NOTHING_DUE


def test_a_healthy_batch_is_not_read(lab: Lab) -> None:
    lab.create(lab.upload(4, "one"), "one")
    lab.deliver("plan")
    lab.world.pass_time(20)
    assert calls_of_a_sweep(lab) == ALL_SLOTS_USED


def test_an_expired_file_is_deleted_with_its_object(lab: Lab) -> None:
    file_id = lab.upload(2, "one")
    file = lab.bare.files.get_file(file_id)
    assert file is not None
    lab.world.pass_time(2_592_001)
    assert lab.call("GET", f"/files/{file_id}")[0] == 404
    lab.sweep()
    assert lab.bare.files.get_file(file_id) is None
    found = lab.clients.s3.list_objects_v2(Bucket=lab.bare.settings.bucket_name, Prefix="files/")
    assert found["KeyCount"] == 0
    assert calls_of_a_sweep(lab) == NOTHING_DUE


def test_an_interrupted_deletion_is_completed_by_the_next_sweep(lab: Lab) -> None:
    file_id = lab.upload(2, "one")
    file = lab.bare.files.get_file(file_id)
    assert file is not None
    lab.bare.files.delete_file(file, int(lab.bare.now()))
    lab.sweep()
    found = lab.clients.s3.list_objects_v2(Bucket=lab.bare.settings.bucket_name, Prefix="files/")
    assert found["KeyCount"] == 0


def test_output_files_expire_when_the_batch_requested(lab: Lab) -> None:
    lab.upload(2, "one")
    body = (
        b'{"input_file_id": "file-one", "endpoint": "/v1/chat/completions", "completion_window": "24h",'
        b' "output_expires_after": {"anchor": "created_at", "seconds": 7200}}'
    )
    batch_id = str(lab.world.call("POST", "/batches", body)[1]["id"])
    lab.batches.append(batch_id)
    lab.settle()
    output = lab.bare.files.get_file(str(lab.batch(batch_id).output_file_id))
    assert output is not None
    assert output.expires_at == output.created_at + 7_200


@pytest.mark.parametrize("left_behind", ["plan", "infer", "assemble"])
def test_lost_messages_are_sent_again(lab: Lab, left_behind: str) -> None:
    batch_id = lab.create(lab.upload(4, "one"), "one")
    for name in ("plan", "infer", "assemble"):
        if name == left_behind:
            lab.clients.sqs.purge_queue(QueueUrl=lab.world.urls[name])
            break
        while lab.deliver(name):
            pass
    assert not lab.batch(batch_id).status.is_terminal
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.COMPLETED


def test_a_cancelled_batch_waits_at_most_ten_minutes_for_its_workers(lab: Lab) -> None:
    batch_id = lab.create(lab.upload(4, "one"), "one")
    lab.deliver("plan")
    lab.cancel(batch_id)
    lab.clients.sqs.purge_queue(QueueUrl=lab.world.urls["infer"])
    lab.deliver("assemble")
    assert lab.batch(batch_id).status is BatchStatus.CANCELLING
    lab.world.pass_time(601)
    lab.sweep()
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.CANCELLED
