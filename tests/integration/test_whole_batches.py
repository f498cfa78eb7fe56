"""Whole batches through the real handlers, on moto."""

import json
from typing import Any

import pytest
from aiohttp import web

from nightlane.domain.batch import BatchStatus, Outcome, Usage
from nightlane.domain.ports import BlobMissing
from tests.upstream import Upstream, question, refusal
from tests.world import World, requests


def test_a_batch_completes_with_every_line_once_in_input_order(nightlane: World, upstream: Upstream) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(10)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert batch.status is BatchStatus.COMPLETED
    assert (batch.total, batch.completed, batch.failed) == (10, 10, 0)
    assert batch.usage == Usage(30, 10, 20, 0, 50)
    assert batch.model == "mock-small-2026"
    assert batch.error_file_id is None
    lines = nightlane.lines(batch.output_file_id)
    assert [line["custom_id"] for line in lines] == [f"request-{number}" for number in range(10)]
    assert all(line["response"]["status_code"] == 200 and line["error"] is None for line in lines)
    assert set(upstream.asked.values()) == {1}
    times = (batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at)
    assert None not in times
    assert list(times) == sorted(time for time in times if time)
    assert nightlane.ports.batches.slots().running == {}
    assert nightlane.waiting_messages() == 0


def test_a_response_with_an_error_status_becomes_an_error_line(nightlane: World, upstream: Upstream) -> None:
    upstream.script = lambda body, _seen: refusal(400) if "Question 3?" in question(body) else None
    batch_id = nightlane.create(nightlane.upload(requests(6)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 5, 1)
    (line,) = nightlane.lines(batch.error_file_id)
    assert line["custom_id"] == "request-3"
    assert line["error"] is None
    assert line["response"]["status_code"] == 400
    assert line["response"]["body"]["error"]["message"] == "no: 400"


def test_a_batch_whose_every_line_fails_is_completed_without_output(
    nightlane: World, upstream: Upstream
) -> None:
    upstream.script = lambda _body, _seen: refusal(422)
    batch_id = nightlane.create(nightlane.upload(requests(3)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed, batch.failed) == (BatchStatus.COMPLETED, 0, 3)
    assert batch.output_file_id is None
    assert len(nightlane.lines(batch.error_file_id)) == 3


@pytest.mark.parametrize("status", [401, 404, 405, 408, 409, 425, 429, 499, 500, 501, 502, 503, 529])
def test_temporary_errors_are_retried(nightlane: World, upstream: Upstream, status: int) -> None:
    upstream.script = lambda _body, seen: refusal(status, **{"retry-after": "0.01"}) if not seen else None
    batch_id = nightlane.create(nightlane.upload(requests(4)))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 4)
    assert set(upstream.asked.values()) == {2}


def test_the_upstream_gets_the_exact_bytes_of_the_body(nightlane: World, upstream: Upstream) -> None:
    body = '{"model":"m",  "messages" : [{"role":"user","content":"caf\\u00e9 中"}], "temperature":1.0}'
    line = '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":' + body + "}\r\n"
    nightlane.create(nightlane.upload(line.encode()))
    nightlane.run()
    assert upstream.raw == [body.encode()]


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_tolerated(nightlane: World) -> None:
    data = b"\xef\xbb\xbf" + requests(9).replace(b"\n", b"\r\n\r\n  \n")
    batch_id = nightlane.create(nightlane.upload(data))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.total, batch.completed) == (BatchStatus.COMPLETED, 9, 9)
    assert len(nightlane.lines(batch.output_file_id)) == 9


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty_file", None),
        (b"\n \r\n", "empty_file", None),
        (requests(2) + b"\xff\xfe\n", "invalid_json_line", 3),
        (b"\n\n" + requests(1) + b"[]\n", "invalid_json_line", 4),
        (requests(1) * 2, "duplicate_custom_id", 2),
        (requests(1) + b'{"a":' * 3_000, "invalid_json_line", 2),
        (requests(1) + b'"' + b"x" * 9_000_000 + b'"', "invalid_request", 2),
    ],
    ids=["empty", "blank", "no utf-8", "no object", "duplicate", "deep", "huge"],
)
def test_an_invalid_file_fails_the_batch(nightlane: World, data: bytes, code: str, line: int | None) -> None:
    batch_id = nightlane.create(nightlane.upload(data))
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert batch.status is BatchStatus.FAILED
    assert batch.failed_at is not None
    assert batch.in_progress_at is None
    assert (batch.total, batch.completed, batch.failed) == (0, 0, 0)
    assert [(error.code, error.line) for error in batch.errors] == [(code, line)]


def test_too_many_lines_fail_the_batch(nightlane: World) -> None:
    nightlane.ports.settings.__dict__["max_batch_lines"] = 5
    batch_id = nightlane.create(nightlane.upload(requests(6)))
    nightlane.run()
    (error,) = nightlane.batch(batch_id).errors
    assert error.code == "too_many_tasks"
    assert "more than the 5 requests" in error.message


def test_a_missing_file_or_one_of_another_tenant_fails_the_batch(nightlane: World) -> None:
    foreign = nightlane.upload(requests(1), tenant="somebody-else")
    for file_id in ("file-nowhere", foreign):
        batch_id = nightlane.create(file_id)
        nightlane.run()
        (error,) = nightlane.batch(batch_id).errors
        assert (error.code, error.param) == ("invalid_request", "file_id")
        assert error.message.startswith(f"Cannot find file {file_id}")


def test_deleting_the_input_after_planning_does_not_affect_the_batch(nightlane: World) -> None:
    file_id = nightlane.upload(requests(5))
    batch_id = nightlane.create(file_id)
    assert nightlane.deliver("plan")
    file = nightlane.ports.files.get_file(file_id)
    assert file is not None
    nightlane.ports.files.delete_file(file, int(nightlane.ports.now()))
    nightlane.ports.blobs.delete([file.blob_key])
    nightlane.run()
    assert nightlane.batch(batch_id).completed == 5


def test_equal_batches_of_one_tenant_wait_for_admission_in_the_order_of_creation(nightlane: World) -> None:
    first, second, third = (nightlane.create(nightlane.upload(requests(2))) for _ in range(3))
    for _ in range(3):
        nightlane.deliver("plan")
    assert nightlane.batch(first).status is BatchStatus.IN_PROGRESS
    assert [nightlane.batch(each).status for each in (second, third)] == [BatchStatus.VALIDATING] * 2
    assert nightlane.ports.batches.slots().running == {first: "acme"}
    bad = nightlane.create(nightlane.upload(b"{}"))
    nightlane.deliver("plan")
    assert nightlane.batch(bad).status is BatchStatus.FAILED
    nightlane.run()
    ends = [nightlane.batch(each) for each in (first, second, third)]
    assert {batch.status for batch in ends} == {BatchStatus.COMPLETED}
    assert nightlane.ports.batches.slots().running == {}
    order = [key for key in nightlane.deliveries if key.startswith("assemble")]
    assert [entry.split('"')[3] for entry in order] == [first, second, third]


def test_working_objects_and_shards_are_deleted_at_the_end(nightlane: World) -> None:
    batch_id = nightlane.create(nightlane.upload(requests(10)))
    nightlane.run()
    bucket = nightlane.ports.settings.bucket_name
    found = nightlane.clients.s3.list_objects_v2(Bucket=bucket, Prefix="work/")
    assert found["KeyCount"] == 0
    assert list(nightlane.ports.batches.shards(batch_id)) == []


def test_requests_in_flight_do_not_exceed_the_limit(nightlane: World, upstream: Upstream) -> None:
    nightlane.ports.settings.__dict__["max_concurrent_requests_per_batch"] = 3
    nightlane.ports.settings.__dict__["shard_max_lines"] = 50
    upstream.delay_seconds = 0.01
    nightlane.create(nightlane.upload(requests(40)))
    nightlane.run()
    assert upstream.max_in_flight == 3


def test_a_worker_out_of_time_hands_its_shard_back_and_no_line_runs_twice(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__["shard_max_lines"] = 100
    # Too little for a request of unknown length, so the worker winds down at once.
    nightlane.context_seconds = 30
    upstream.delay_seconds = 0.3
    batch_id = nightlane.create(nightlane.upload(requests(60)))
    nightlane.deliver("plan")
    while nightlane.deliver("infer"):
        pass
    shard = nightlane.ports.batches.get_shard(batch_id, 0)
    assert shard.strikes == 0
    # On a slow machine, a worker may be out of time before its first request.
    assert shard.epoch > 1
    assert shard.commits > 1
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 60)
    assert len([each for each in nightlane.deliveries if each.startswith("infer")]) > 1
    assert set(upstream.asked.values()) == {1}


def test_a_failed_assembly_leaves_no_incomplete_upload_and_can_be_repeated(
    nightlane: World, upstream: Upstream
) -> None:
    upstream.script = lambda body, _seen: web.json_response(
        {"model": body["model"], "choices": [question(body) * 100_000]}
    )
    batch_id = nightlane.create(nightlane.upload(requests(10)))
    nightlane.deliver("plan")
    while nightlane.deliver("infer"):
        pass
    last = [part.key for shard in nightlane.ports.batches.shards(batch_id) for part in shard.parts][-1]
    kept = nightlane.ports.blobs.get(last)
    nightlane.ports.blobs.delete([last])
    with pytest.raises(BlobMissing):
        nightlane.deliver("assemble")
    s3, bucket = nightlane.clients.s3, nightlane.ports.settings.bucket_name
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    nightlane.ports.blobs.put(last, kept)
    nightlane.pass_time(600)
    nightlane.sweep()
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 10)
    assert len(nightlane.lines(batch.output_file_id)) == 10


def test_a_batch_that_expired_while_waiting_is_closed_instead_of_admitted(nightlane: World) -> None:
    first, second = (nightlane.create(nightlane.upload(requests(2))) for _ in range(2))
    nightlane.deliver("plan")
    nightlane.deliver("plan")
    assert nightlane.batch(second).is_waiting
    nightlane.pass_time(nightlane.ports.settings.completion_window_seconds + 1)
    nightlane.ports.settings.__dict__["max_concurrent_batches"] = 2
    third = nightlane.create(nightlane.upload(requests(2)))
    nightlane.deliver("plan")
    assert nightlane.batch(second).outcome is Outcome.EXPIRED
    nightlane.run()
    ends = [nightlane.batch(each).status for each in (first, second, third)]
    assert ends == [BatchStatus.EXPIRED, BatchStatus.EXPIRED, BatchStatus.COMPLETED]


def test_lines_of_an_extra_endpoint_go_to_the_same_path_of_the_upstream(
    nightlane: World, upstream: Upstream
) -> None:
    bodies: list[dict[str, Any]] = [{"query": "q", "documents": ["a"]}, {"model": "m", "query": "q"}]
    lines = [
        json.dumps({"custom_id": str(number), "method": "POST", "url": "/v1/rerank", "body": body}).encode()
        for number, body in enumerate(bodies)
    ]
    batch_id = nightlane.create(nightlane.upload(b"\n".join(lines)), endpoint="/v1/rerank")
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, 2)
    assert [path for path, _ in upstream.others] == ["/v1/rerank"] * 2
    assert all(body in bodies for _, body in upstream.others)
    (first, _) = nightlane.lines(batch.output_file_id)
    assert first["response"]["body"] == {"results": [{"index": 0, "relevance_score": 0.5}]}
