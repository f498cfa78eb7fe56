"""Lines with the same system prompt are sent one after another, and nobody but the upstream notices."""

import json
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from nightlane.domain.batch import BatchStatus
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.lines import result_id
from nightlane.domain.planning import plan_batch
from tests.upstream import Upstream, question, refusal
from tests.world import World, requests, with_system_prompts

LINES, PROMPTS = 13, 3
MIXED = with_system_prompts(requests(LINES), PROMPTS)


def prompts_sent(upstream: Upstream) -> list[str]:
    """The first words of the system prompts, in the order in which they were sent, without repetitions."""
    sent = (json.loads(raw)["messages"][0]["content"][:8] for raw in upstream.raw)
    return [prompt for prompt, _ in groupby(sent)]


def one_at_a_time(nightlane: World) -> None:
    nightlane.ports.settings.__dict__["max_concurrent_requests_per_batch"] = 1


def answers(nightlane: World, batch_id: str) -> tuple[list[Any], list[Any]]:
    """The lines of both files, without what depends on the batch."""
    batch = nightlane.batch(batch_id)
    return nightlane.lines(batch.output_file_id), nightlane.lines(batch.error_file_id)


def test_lines_are_sent_by_prompt_and_answered_in_input_order(nightlane: World, upstream: Upstream) -> None:
    one_at_a_time(nightlane)
    upstream.script = lambda body, _seen: refusal(400) if question(body) == "Question 4?" else None
    batch_id = nightlane.create(nightlane.upload(MIXED))
    nightlane.run()
    output, errors = answers(nightlane, batch_id)
    numbers = [number for number in range(LINES) if number != 4]
    assert [line["custom_id"] for line in output] == [f"request-{number}" for number in numbers]
    contents = [line["response"]["body"]["choices"][0]["message"]["content"] for line in output]
    assert contents == [f"On Question {number}?" for number in numbers]
    assert [line["custom_id"] for line in errors] == ["request-4"]
    assert prompts_sent(upstream) == ["Prompt 0", "Prompt 1", "Prompt 2"]
    assert set(upstream.asked.values()) == {1}


def test_without_the_setting_lines_are_sent_in_input_order(nightlane: World, upstream: Upstream) -> None:
    one_at_a_time(nightlane)
    nightlane.ports.settings.__dict__["prefix_order"] = False
    batch_id = nightlane.create(nightlane.upload(MIXED))
    nightlane.run()
    assert nightlane.batch(batch_id).completed == LINES
    assert len(prompts_sent(upstream)) == LINES


@pytest.mark.parametrize("data", [requests(LINES), with_system_prompts(requests(LINES), 1)])
def test_one_system_prompt_or_none_leaves_the_input_as_it_is(nightlane: World, data: bytes) -> None:
    batch_id = nightlane.create(nightlane.upload(data))
    nightlane.deliver("plan")
    manifest = read_manifest(nightlane.ports, nightlane.batch(batch_id))
    assert (manifest.input_key, manifest.order_key) == (f"work/{batch_id}/input.jsonl", None)
    assert [spec.lines for spec in manifest.shards] == [4, 4, 4, 1]
    assert len(work_objects(nightlane)) == 2


def work_objects(nightlane: World) -> list[str]:
    bucket = nightlane.ports.settings.bucket_name
    listed = nightlane.clients.s3.list_objects_v2(Bucket=bucket, Prefix="work/")
    return [entry["Key"] for entry in listed.get("Contents", [])]


def complete(nightlane: World, _batch_id: str) -> None:
    nightlane.run()


def cancel(nightlane: World, batch_id: str) -> None:
    run_a_few(nightlane)
    assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
    nightlane.run()


def expire(nightlane: World, _batch_id: str) -> None:
    run_a_few(nightlane)
    nightlane.pass_time(nightlane.ports.settings.completion_window_seconds + 1)
    nightlane.sweep()
    nightlane.run()


def lose_worker(nightlane: World, _batch_id: str) -> None:
    run_a_few(nightlane)
    message = nightlane.receive("infer")
    assert message is not None
    sqs, urls = nightlane.clients.sqs, nightlane.urls
    sqs.send_message(
        QueueUrl=urls["infer-dead"],
        MessageBody=message["Body"],
        MessageGroupId="dead",
        MessageDeduplicationId=message["MessageId"],
    )
    sqs.delete_message(QueueUrl=urls["infer"], ReceiptHandle=message["ReceiptHandle"])
    assert nightlane.deliver("infer-dead")
    nightlane.run()


def run_a_few(nightlane: World) -> None:
    """Deliver the lane's message to a worker that is soon out of time."""
    # Too little for a request of unknown length, so the worker winds down at once.
    nightlane.context_seconds = 30
    nightlane.deliver("infer")
    nightlane.context_seconds = 900


@pytest.mark.parametrize("end", [complete, cancel, expire, lose_worker])
def test_every_end_has_every_line_once_with_the_id_of_its_place_in_the_order_of_sending(
    nightlane: World, upstream: Upstream, end: Callable[[World, str], None]
) -> None:
    one_at_a_time(nightlane)
    upstream.delay_seconds = 0.2
    for prefix_order in (True, False):
        nightlane.ports.settings.__dict__["prefix_order"] = prefix_order
        batch_id = nightlane.create(nightlane.upload(MIXED), batch_id=f"batch_{end.__name__}")
        nightlane.deliver("plan")
        assert (len(work_objects(nightlane)) == 4) is prefix_order
        end(nightlane, batch_id)
        assert nightlane.batch(batch_id).status.is_terminal
        assert work_objects(nightlane) == []
        output, errors = answers(nightlane, batch_id)
        for lines in (output, errors):
            numbers = [int(line["custom_id"].split("-")[1]) for line in lines]
            assert numbers == sorted(numbers)
        assert len(output) + len(errors) == LINES
        assert (len(errors) > 0) is (end is not complete)
        sent = sorted(range(LINES), key=lambda number: number % PROMPTS) if prefix_order else range(LINES)
        assert {line["custom_id"]: line["id"] for line in output + errors} == {
            f"request-{number}": result_id(batch_id, place) for place, number in enumerate(sent)
        }
        forget(nightlane, batch_id)


def forget(nightlane: World, batch_id: str) -> None:
    """Delete a batch's item, so that another one can have the same id."""
    nightlane.clients.dynamodb.delete_item(
        TableName=nightlane.ports.settings.table_name,
        Key={"pk": {"S": f"BATCH#{batch_id}"}, "sk": {"S": "BATCH"}},
    )


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_tolerated(nightlane: World) -> None:
    data = b"\xef\xbb\xbf" + MIXED.replace(b"\n", b"\r\n\r\n  \n")
    batch_id = nightlane.create(nightlane.upload(data.rstrip()))
    nightlane.deliver("plan")
    assert len(work_objects(nightlane)) == 4
    nightlane.run()
    output, _ = answers(nightlane, batch_id)
    assert [line["custom_id"] for line in output] == [f"request-{number}" for number in range(LINES)]


def test_a_planner_that_was_replaced_deletes_what_it_ordered(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(MIXED))
    record_plan = nightlane.ports.batches.record_plan
    replaced: list[bool] = []

    def plan_again_first(*arguments: Any, **named: Any) -> bool:
        if not replaced:
            replaced.append(True)
            plan_batch(nightlane.ports, nightlane.models, batch_id)
        return record_plan(*arguments, **named)

    vars(nightlane.ports.batches)["record_plan"] = plan_again_first
    plan_batch(nightlane.ports, nightlane.models, batch_id)
    names = {key.rsplit("/", 1)[1] for key in work_objects(nightlane)}
    assert names == {"input.jsonl", "manifest-00002.json", "ordered-00002.jsonl", "order-00002.bin"}
    nightlane.run()
    assert nightlane.batch(batch_id).status is BatchStatus.COMPLETED
    assert work_objects(nightlane) == []


def test_what_a_crashed_planner_left_is_deleted_at_the_end(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(MIXED))
    put = nightlane.ports.blobs.put

    def crash(key: str, data: bytes) -> None:
        put(key, data)
        raise KeyError

    vars(nightlane.ports.blobs)["put"] = crash
    with pytest.raises(KeyError):
        plan_batch(nightlane.ports, nightlane.models, batch_id)
    del vars(nightlane.ports.blobs)["put"]
    assert len(work_objects(nightlane)) == 3
    nightlane.pass_time(nightlane.ports.settings.redrive_seconds + 1)
    nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).completed == LINES
    assert work_objects(nightlane) == []


def test_a_failed_upload_of_the_ordered_input_leaves_nothing_incomplete(nightlane: World) -> None:
    nightlane.ports.settings.__dict__["shard_max_lines"] = 4_800
    batch_id = nightlane.create(nightlane.upload(with_system_prompts(requests(400), PROMPTS)))
    events, name = nightlane.function_clients.s3.meta.events, "before-call.s3.CompleteMultipartUpload"

    def fail(**_: Any) -> None:
        raise KeyError

    events.register(name, fail)
    with pytest.raises(KeyError):
        nightlane.deliver("plan")
    events.unregister(name, fail)
    s3, bucket = nightlane.clients.s3, nightlane.ports.settings.bucket_name
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert work_objects(nightlane) == [f"work/{batch_id}/input.jsonl"]
    nightlane.pass_time(nightlane.ports.settings.redrive_seconds + 1)
    nightlane.sweep()
    nightlane.run()
    assert nightlane.batch(batch_id).completed == 400
