"""Batches whose input is in another bucket, and whose results are copied to one, on moto."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types import Batch

from nightlane.domain.batch import BatchStatus
from nightlane.settings import Settings
from tests.rig.accesses import TEAM_BUCKET
from tests.upstream import Upstream, only
from tests.world import ENDPOINT, World, moto_world, requests

INPUT = f"s3://{TEAM_BUCKET}/in/nightly.jsonl"
OUTPUT = f"s3://{TEAM_BUCKET}/out/nightly/"
CREATE = {"input_file_id": INPUT, "endpoint": ENDPOINT, "completion_window": "24h"}


@pytest.fixture
def nightlane(upstream: Upstream) -> Iterator[World]:
    settings = Settings(
        upstreams=only(upstream.url),
        s3_inputs=json.loads(f'["s3://{TEAM_BUCKET}/in/"]'),
        s3_outputs=json.loads(f'[{{"prefix": "s3://{TEAM_BUCKET}/out/", "tenants": ["acme"]}}]'),
    )
    with moto_world(settings) as world:
        world.clients.s3.create_bucket(Bucket=TEAM_BUCKET)
        store(world, "in/nightly.jsonl", requests(3))
        yield world


def store(nightlane: World, key: str, data: bytes) -> None:
    nightlane.clients.s3.put_object(Bucket=TEAM_BUCKET, Key=key, Body=data)


def stored(nightlane: World, prefix: str = "out/") -> dict[str, bytes]:
    client = nightlane.clients.s3
    found = client.list_objects_v2(Bucket=TEAM_BUCKET, Prefix=prefix).get("Contents", [])
    return {
        each["Key"]: client.get_object(Bucket=TEAM_BUCKET, Key=each["Key"])["Body"].read() for each in found
    }


def create(nightlane: World, tenant: str = "acme", **changes: Any) -> tuple[int, Any]:
    return nightlane.call("POST", "/batches", json.dumps(CREATE | changes).encode(), tenant=tenant)


def test_a_batch_reads_from_a_bucket_and_its_results_are_copied_to_one(nightlane: World) -> None:
    status, body = create(nightlane, output_prefix=OUTPUT)
    assert (status, body["input_file_id"], body["output_prefix"]) == (200, INPUT, OUTPUT)
    assert Batch.model_validate(body, strict=True)
    nightlane.run()
    batch = nightlane.batch(body["id"])
    assert (batch.status, batch.completed, batch.output_problem) == (BatchStatus.COMPLETED, 3, None)
    results = nightlane.ports.files.get_file(str(batch.output_file_id))
    assert results is not None
    assert stored(nightlane) == {
        f"out/nightly/{batch.id}_output.jsonl": nightlane.ports.blobs.get(results.blob_key)
    }
    ended = nightlane.call("GET", f"/batches/{batch.id}")[1]
    assert (ended["output_prefix"], ended["output_prefix_error"]) == (OUTPUT, None)
    assert stored(nightlane, "in/") == {"in/nightly.jsonl": requests(3)}


def test_the_input_is_pinned_when_the_batch_is_planned(nightlane: World) -> None:
    batch_id = create(nightlane)[1]["id"]
    nightlane.deliver("plan")
    store(nightlane, "in/nightly.jsonl", requests(5))
    nightlane.run()
    assert nightlane.batch(batch_id).completed == 3


def test_batches_that_use_files_do_not_mention_locations(nightlane: World) -> None:
    body = create(nightlane, input_file_id=nightlane.upload(requests(1)))[1]
    assert set(body) == set(Batch.model_fields)


@pytest.mark.parametrize(
    ("changes", "tenant", "param"),
    [
        ({"input_file_id": f"s3://{TEAM_BUCKET}/in-secret/a"}, "acme", "input_file_id"),
        ({"input_file_id": f"s3://{TEAM_BUCKET}/in/../secret/a"}, "acme", "input_file_id"),
        ({"input_file_id": f"s3://{TEAM_BUCKET}/out/nightly/a"}, "acme", "input_file_id"),
        ({"input_file_id": "s3://nightlane/files/other/file-1"}, "acme", "input_file_id"),
        ({"output_prefix": f"s3://{TEAM_BUCKET}/in/"}, "acme", "output_prefix"),
        ({"output_prefix": f"s3://{TEAM_BUCKET}/out/nightly"}, "acme", "output_prefix"),
        ({"output_prefix": "file-1"}, "acme", "output_prefix"),
        ({"output_prefix": OUTPUT}, "other", "output_prefix"),
    ],
)
def test_a_location_that_is_not_allowed_is_a_bad_request(
    nightlane: World, changes: dict[str, str], tenant: str, param: str
) -> None:
    status, body = create(nightlane, tenant, **changes)
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_value", param)


def test_an_input_that_is_not_there_or_too_large_fails_the_batch(nightlane: World) -> None:
    missing = create(nightlane, input_file_id=f"s3://{TEAM_BUCKET}/in/none.jsonl")[1]["id"]
    nightlane.ports.settings.__dict__["max_batch_bytes"] = len(requests(3)) - 1
    large = create(nightlane)[1]["id"]
    nightlane.run()
    (error,) = nightlane.batch(missing).errors
    assert (error.code, error.param) == ("invalid_request", "input_file_id")
    assert error.message == (
        f"Cannot read s3://{TEAM_BUCKET}/in/none.jsonl: S3 returned 404 to the role of this deployment."
    )
    assert "larger than the" in nightlane.batch(large).errors[0].message


def test_a_prefix_that_is_no_longer_allowed_is_not_read(nightlane: World) -> None:
    batch_id = create(nightlane)[1]["id"]
    nightlane.ports.settings.__dict__["s3_inputs"] = ()
    nightlane.run()
    assert nightlane.batch(batch_id).errors[0].message == f"Not allowed to read {INPUT}."


def test_the_bucket_of_the_deployment_is_never_read_as_a_location(nightlane: World) -> None:
    own = nightlane.ports.settings.bucket_name
    nightlane.ports.settings.__dict__["s3_inputs"] = Settings.model_validate(
        {"s3_inputs": [f"s3://{own}/files/"]}
    ).s3_inputs
    file_id = nightlane.upload(requests(1), tenant="other")
    batch_id = create(nightlane, input_file_id=f"s3://{own}/files/other/{file_id}")[1]["id"]
    nightlane.run()
    assert "in the bucket of this deployment" in nightlane.batch(batch_id).errors[0].message


def test_a_batch_ends_even_if_its_results_cannot_be_copied(nightlane: World) -> None:
    batch_id = create(nightlane, output_prefix=OUTPUT)[1]["id"]
    nightlane.deliver("plan")
    nightlane.deliver("infer")
    nightlane.clients.s3.delete_object(Bucket=TEAM_BUCKET, Key="in/nightly.jsonl")
    nightlane.clients.s3.delete_bucket(Bucket=TEAM_BUCKET)
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert batch.status is BatchStatus.COMPLETED
    assert len(nightlane.lines(batch.output_file_id)) == 3
    ended = nightlane.call("GET", f"/batches/{batch_id}")[1]
    assert ended["output_prefix_error"] == (
        "The results were not copied: S3 returned NoSuchBucket to the role of this deployment."
    )


def test_one_token_with_another_prefix_is_a_conflict(nightlane: World) -> None:
    assert create(nightlane, idempotency_key="k", output_prefix=OUTPUT)[0] == 200
    assert create(nightlane, idempotency_key="k", output_prefix=OUTPUT)[0] == 200
    assert create(nightlane, idempotency_key="k")[0] == 409


def test_a_batch_that_read_from_s3_is_not_retried(nightlane: World) -> None:
    store(nightlane, "in/nightly.jsonl", requests(1))
    batch_id = create(nightlane)[1]["id"]
    nightlane.deliver("plan")
    assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
    nightlane.run()
    status, body = nightlane.call("POST", f"/batches/{batch_id}/retry")
    assert (status, "read its input from S3" in body["error"]["message"]) == (400, True)
