"""Quotas from a key to the answers that clients get, with the real handlers on moto."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.home.events import authorizer_event
from nightlane.aws.table.keys import DynamoKeys
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.keys import issue
from nightlane.domain.quotas import Quota, TenantUse, hour_of
from nightlane.settings import Settings
from tests.upstream import Upstream, only, serving
from tests.world import ENDPOINT, TENANT, World, moto_world, requests

ON_THE_HOUR = 1_800_000_000.0
FORM = "multipart/form-data; boundary=x"


@pytest.fixture
def upstream() -> Iterator[str]:
    with serving(Upstream()) as upstream:
        yield upstream.url


@pytest.fixture
def nightlane(upstream: str) -> Iterator[World]:
    settings = Settings(
        upstreams=only(upstream), max_concurrent_batches=2, max_concurrent_requests_per_batch=4
    )
    with moto_world(settings) as world:
        yield world


def give(world: World, **quota: int) -> None:
    """Make this the default of all tenants."""
    numbers = {f"quota_{name}": number for name, number in quota.items()}
    object.__setattr__(world.ports, "settings", world.ports.settings.model_copy(update=numbers))


def create(world: World, file_id: str, quota: str = "", tenant: str = TENANT) -> Any:
    body = {"input_file_id": file_id, "endpoint": ENDPOINT, "completion_window": "24h"}
    context = {"tenant": tenant} | ({"quota": quota} if quota else {})
    return world.answer("POST", "/batches", json.dumps(body).encode(), context=context)


def id_of(answer: dict[str, Any]) -> str:
    assert answer["statusCode"] == 200, answer["body"]
    return str(json.loads(answer["body"])["id"])


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}


def use(world: World) -> TenantUse:
    return world.ports.quotas.get_use(TENANT, hour_of(world.ports.now()))


def errors_of(batch: Batch) -> list[tuple[str, int | None]]:
    assert batch.status is BatchStatus.FAILED
    return [(error.code, error.line) for error in batch.errors]


def test_the_quota_of_a_key_reaches_the_api_through_the_authorizer(nightlane: World) -> None:
    keys = DynamoKeys(nightlane.clients.dynamodb, nightlane.ports.settings.table_name)
    secret, key = issue(TENANT, "", 0, Quota(batches_per_hour=1))
    keys.create_key(key)
    policy = nightlane.invoke("authorize", authorizer_event(f"Bearer {secret}", "POST", "/batches"))
    assert policy["context"] == {"tenant": TENANT, "quota": '{"batches_per_hour":1}'}
    file_id = nightlane.upload(requests(1))
    assert create(nightlane, file_id, **policy["context"])["statusCode"] == 200
    assert create(nightlane, file_id, **policy["context"])["statusCode"] == 429
    # A key without one has the default.
    give(nightlane, batches_per_hour=2)
    assert create(nightlane, file_id)["statusCode"] == 200
    assert create(nightlane, file_id)["statusCode"] == 429


def test_a_batch_too_many_in_an_hour_gets_429_and_headers_as_openai_sends_them(nightlane: World) -> None:
    give(nightlane, batches_per_hour=2, enqueued_tokens=1_000)
    object.__setattr__(nightlane.ports, "now", lambda: ON_THE_HOUR + 30 * 60 + nightlane.clock_offset[0])
    file_id = nightlane.upload(requests(1))
    first, _, refused = (create(nightlane, file_id) for _ in range(3))
    assert (
        headers_of(first).items()
        >= {
            "x-ratelimit-limit-requests": "2",
            "x-ratelimit-remaining-requests": "1",
            "x-ratelimit-reset-requests": "30m0s",
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "1000",
            "x-ratelimit-reset-tokens": "0s",
        }.items()
    )
    error = json.loads(refused["body"])["error"]
    assert (refused["statusCode"], error["code"], error["type"], error["param"]) == (
        429,
        "rate_limit_exceeded",
        "requests",
        None,
    )
    assert headers_of(refused)["retry-after"] == "60"
    assert headers_of(refused)["x-ratelimit-remaining-requests"] == "0"
    nightlane.pass_time(29 * 60 + 50)
    assert headers_of(create(nightlane, file_id))["retry-after"] == "10"
    nightlane.pass_time(10)
    assert create(nightlane, file_id)["statusCode"] == 200


def test_without_a_quota_there_are_no_headers_and_no_counters(nightlane: World) -> None:
    answer = create(nightlane, nightlane.upload(requests(2)))
    nightlane.run()
    assert nightlane.batch(id_of(answer)).status is BatchStatus.COMPLETED
    assert not any(name.startswith("x-ratelimit") for name in headers_of(answer))
    assert use(nightlane) == TenantUse()


def test_what_is_enqueued_is_given_back_when_the_batch_ends(nightlane: World) -> None:
    give(nightlane, enqueued_requests=5)
    file_id = nightlane.upload(requests(3))
    first, second = (id_of(create(nightlane, file_id)) for _ in range(2))
    assert nightlane.deliver("plan")
    assert nightlane.deliver("plan")
    planned = nightlane.batch(first) if nightlane.batch(first).is_planned else nightlane.batch(second)
    refused = second if planned.id == first else first
    assert (use(nightlane).requests, use(nightlane).tokens) == (3, planned.size.prompt_tokens)
    assert errors_of(nightlane.batch(refused)) == [("token_limit_exceeded", None)]
    (error,) = nightlane.batch(refused).errors
    assert error.message == (
        f"Enqueued request limit reached for mock-small in organization {TENANT}. Limit: 5 enqueued "
        "requests; this batch has 3. Please try again once some in_progress batches have been completed."
    )
    nightlane.run()
    assert (use(nightlane).requests, use(nightlane).tokens) == (0, 0)
    third = id_of(create(nightlane, file_id))
    nightlane.run()
    assert nightlane.batch(third).status is BatchStatus.COMPLETED


def test_a_batch_with_too_many_tokens_fails_and_leaves_nothing_behind(nightlane: World) -> None:
    give(nightlane, enqueued_tokens=20)
    answer = create(nightlane, nightlane.upload(requests(30)))
    nightlane.run()
    batch = nightlane.batch(id_of(answer))
    assert errors_of(batch) == [("token_limit_exceeded", None)]
    assert "Limit: 20 enqueued tokens; this batch has" in batch.errors[0].message
    assert use(nightlane) == TenantUse()
    objects = nightlane.clients.s3.list_objects_v2(
        Bucket=nightlane.ports.settings.bucket_name, Prefix="work/"
    )
    assert objects["KeyCount"] == 0


def upload(world: World, data: bytes) -> Any:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
        + data
        + b"\r\n--x--\r\n"
    )
    return world.answer("POST", "/files", body, headers=[("Content-Type", FORM)])


def test_stored_bytes_are_limited_until_files_are_deleted_or_expire(nightlane: World) -> None:
    data = requests(1)
    give(nightlane, stored_bytes=2 * len(data))
    ids = [id_of(upload(nightlane, data)) for _ in range(2)]
    refused = upload(nightlane, data)
    error = json.loads(refused["body"])["error"]
    assert (refused["statusCode"], error["code"]) == (403, "insufficient_quota")
    assert headers_of(refused)["x-should-retry"] == "false"
    stored = nightlane.clients.s3.list_objects_v2(Bucket=nightlane.ports.settings.bucket_name)
    assert stored["KeyCount"] == 2
    assert nightlane.call("DELETE", f"/files/{ids[0]}")[0] == 200
    assert use(nightlane).stored_bytes == len(data)
    id_of(upload(nightlane, data))
    nightlane.pass_time(2_600_000)
    nightlane.sweep()
    assert use(nightlane).stored_bytes == 0


def test_requests_in_the_body_and_uploads_in_parts_are_limited_too(nightlane: World) -> None:
    (line,) = requests(1).splitlines()
    lines = [json.loads(line) | {"custom_id": custom_id} for custom_id in ("first", "second")]
    body = {"requests": lines, "endpoint": ENDPOINT, "completion_window": "24h"}
    give(nightlane, stored_bytes=len(line))
    inline = nightlane.answer("POST", "/batches", json.dumps(body).encode())
    assert inline["statusCode"] == 403, inline["body"]
    begun = {"filename": "a", "purpose": "user_data", "bytes": 400, "mime_type": "text/plain"}
    _, upload = nightlane.call("POST", "/uploads", json.dumps(begun).encode())
    path = f"/uploads/{upload['id']}"
    part = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n%b\r\n--x--\r\n'
    added = nightlane.answer("POST", f"{path}/parts", part % (b"x" * 400), headers=[("Content-Type", FORM)])
    complete = json.dumps({"part_ids": [id_of(added)]}).encode()
    assert nightlane.call("POST", f"{path}/complete", complete)[0] == 403
    assert use(nightlane) == TenantUse()
    stored = nightlane.clients.s3.list_objects_v2(
        Bucket=nightlane.ports.settings.bucket_name, Prefix="files/"
    )
    assert stored["KeyCount"] == 0
    # The parts are still there, and the upload is completed once there is room.
    give(nightlane, stored_bytes=400)
    assert nightlane.call("POST", f"{path}/complete", complete)[0] == 200
    assert nightlane.call("POST", f"{path}/complete", complete)[0] == 200
    assert use(nightlane).stored_bytes == 400


def test_a_retry_counts_as_a_new_batch(nightlane: World) -> None:
    give(nightlane, batches_per_hour=1)
    batch_id = id_of(create(nightlane, nightlane.upload(requests(2))))
    nightlane.deliver("plan")
    assert nightlane.call("POST", f"/batches/{batch_id}/cancel")[0] == 200
    nightlane.run()
    assert nightlane.batch(batch_id).error_file_id is not None
    assert nightlane.call("POST", f"/batches/{batch_id}/retry")[0] == 429


def test_results_count_as_stored_bytes_but_are_never_refused(nightlane: World) -> None:
    data = requests(2)
    give(nightlane, stored_bytes=len(data))
    batch_id = id_of(create(nightlane, id_of(upload(nightlane, data))))
    nightlane.run()
    output = nightlane.ports.files.get_file(str(nightlane.batch(batch_id).output_file_id))
    assert output is not None
    assert use(nightlane).stored_bytes == len(data) + output.size
    assert upload(nightlane, b"{}\n")["statusCode"] == 403


def test_a_tenant_waits_at_its_requests_in_flight_and_others_go_ahead(nightlane: World) -> None:
    small = '{"requests_in_flight":3}'
    files = {tenant: nightlane.upload(requests(4), tenant=tenant) for tenant in (TENANT, "other")}
    first, second = (id_of(create(nightlane, files[TENANT], small)) for _ in range(2))
    while nightlane.deliver("plan"):
        pass
    # The second would fit into the slots, but not into the quota.
    running = [nightlane.batch(each).status is BatchStatus.IN_PROGRESS for each in (first, second)]
    assert sorted(running) == [False, True]
    assert use(nightlane).in_flight == 3
    other = id_of(create(nightlane, files["other"], tenant="other"))
    nightlane.deliver("plan")
    assert nightlane.batch(other).status is BatchStatus.IN_PROGRESS
    nightlane.run()
    assert {nightlane.batch(each).status for each in (first, second, other)} == {BatchStatus.COMPLETED}
    assert use(nightlane).in_flight == 0


def test_a_cancelled_batch_makes_room_for_the_next(nightlane: World) -> None:
    give(nightlane, requests_in_flight=4)
    file_id = nightlane.upload(requests(2))
    first, second = (id_of(create(nightlane, file_id)) for _ in range(2))
    while nightlane.deliver("plan"):
        pass
    running, waiting = (
        (first, second) if nightlane.batch(first).status is BatchStatus.IN_PROGRESS else (second, first)
    )
    nightlane.call("POST", f"/batches/{running}/cancel")
    nightlane.run()
    assert nightlane.batch(running).status is BatchStatus.CANCELLED
    assert nightlane.batch(waiting).status is BatchStatus.COMPLETED
    assert use(nightlane).in_flight == 0
