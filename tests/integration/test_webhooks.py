"""/v1/webhook_endpoints, and the events of batches, on moto with the real handlers."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from nightlane.domain.webhook import EventType
from nightlane.domain.webhook_ports import Delivery, Receipt
from nightlane.domain.webhooks import MAX_ENDPOINTS
from nightlane.settings import Settings
from tests.upstream import only
from tests.world import World, moto_world, requests

BUS = "acme-events"
EVENTS = "/webhook_endpoints"
ALL = [each.value for each in EventType]
BATCHES = "batch.completed, batch.failed, batch.expired, batch.cancelled"


class Inbox:
    """`domain.webhook_ports.Sender` that keeps what is sent."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answer = Receipt(200)

    def __call__(self, deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
        assert not allow_private
        self.deliveries += deliveries
        return [self.answer for _ in deliveries]


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with moto_world(Settings(upstreams=only("http://127.0.0.1:9/v1"), event_bus=BUS)) as world:
        world.clients.events.create_event_bus(Name=BUS)
        yield world


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def aws(shared: World, inbox: Inbox) -> World:
    shared.ports = dataclasses.replace(shared.ports, webhooks=replace(shared.ports.webhooks, send=inbox))
    return shared


_tenants = (f"tenant-{number}" for number in range(1_000))


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return next(_tenants)


def post(aws: World, tenant: str, path: str = EVENTS, **body: Any) -> tuple[int, Any]:
    return aws.call("POST", path, json.dumps(body).encode(), tenant=tenant)


def create(aws: World, tenant: str, **body: Any) -> dict[str, Any]:
    given = {"name": "one", "url": "https://hooks.test/", "event_types": ALL}
    status, made = post(aws, tenant, **given | body)
    assert status == 200, made
    return dict(made)


def test_an_endpoint_has_all_keys_and_its_secret_is_shown_only_once(aws: World, tenant: str) -> None:
    made = create(aws, tenant, event_types=["batch.failed", "batch.failed"])
    secret = made.pop("signing_secret")
    assert secret.startswith("whsec_")
    assert made == {
        "id": made["id"],
        "object": "webhook_endpoint",
        "name": "one",
        "url": "https://hooks.test/",
        "event_types": ["batch.failed"],
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
        "signing_secret_hint": f"whsec_****{secret[-4:]}",
    }
    assert aws.call("GET", f"{EVENTS}/{made['id']}", tenant=tenant) == (200, made)
    assert aws.call("GET", EVENTS, tenant=tenant)[1]["data"] == [made]
    for status, answer in (
        aws.call("GET", f"{EVENTS}/{made['id']}", tenant=tenant),
        aws.call("GET", EVENTS, tenant=tenant),
        post(aws, tenant, f"{EVENTS}/{made['id']}", name="two"),
        post(aws, tenant, f"{EVENTS}/{made['id']}/test", event_type="batch.failed"),
        aws.call("DELETE", f"{EVENTS}/{made['id']}", tenant=tenant),
    ):
        assert status == 200
        assert secret[6:] not in json.dumps(answer)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"name": None}, "missing_required_parameter", "name"),
        ({"url": None}, "missing_required_parameter", "url"),
        ({"event_types": None}, "missing_required_parameter", "event_types"),
        ({"name": ""}, "string_below_min_length", "name"),
        ({"name": "x" * 257}, "string_above_max_length", "name"),
        ({"name": 7}, "invalid_type", "name"),
        ({"event_types": []}, "invalid_value", "event_types"),
        ({"event_types": ["response.completed"]}, "invalid_value", "event_types"),
        ({"event_types": "batch.failed"}, "invalid_type", "event_types"),
        ({"secret": "whsec_AAAA"}, "unknown_parameter", "secret"),
        ({"url": "http://hooks.test/"}, "invalid_value", "url"),
        ({"url": "ftp://hooks.test/"}, "invalid_value", "url"),
        ({"url": "hooks.test"}, "invalid_value", "url"),
        ({"url": "https:///path"}, "invalid_value", "url"),
        ({"url": "https://hooks.test:port/"}, "invalid_value", "url"),
        ({"url": "https://user:password@hooks.test/"}, "invalid_value", "url"),
        ({"url": "https://hooks.test/#part"}, "invalid_value", "url"),
        ({"url": "https://hooks.test/a b"}, "invalid_value", "url"),
        ({"url": "https://hooks.test/\r\nHost: other"}, "invalid_value", "url"),
        ({"url": "https://höoks.test/"}, "invalid_value", "url"),
        ({"url": "https://127.0.0.1/"}, "invalid_value", "url"),
        ({"url": "https://[::1]/"}, "invalid_value", "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "invalid_value", "url"),
        ({"url": "https://169.254.169.254/latest/meta-data/"}, "invalid_value", "url"),
        ({"url": "https://hooks.test/" + "x" * 2_048}, "invalid_value", "url"),
    ],
)
def test_a_bad_request_is_refused_with_its_parameter(
    aws: World, tenant: str, body: dict[str, Any], code: str, param: str
) -> None:
    given = {"name": "one", "url": "https://hooks.test/", "event_types": ALL} | body
    status, answer = post(aws, tenant, **{key: value for key, value in given.items() if value is not None})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param)
    assert answer["error"]["type"] == "invalid_request_error"
    assert aws.call("GET", EVENTS, tenant=tenant)[1]["data"] == []


def test_an_update_changes_what_is_given_and_one_without_changes_nothing(aws: World, tenant: str) -> None:
    made = create(aws, tenant)
    path = f"{EVENTS}/{made['id']}"
    aws.pass_time(5)
    assert post(aws, tenant, path)[1]["updated_at"] == made["created_at"]
    assert post(aws, tenant, path, name="one")[1]["updated_at"] == made["created_at"]
    changed = post(aws, tenant, path, url="https://new.test/", event_types=["batch.failed"])[1]
    assert (changed["name"], changed["url"]) == ("one", "https://new.test/")
    assert changed["event_types"] == ["batch.failed"]
    assert changed["updated_at"] >= made["created_at"] + 5
    assert changed["created_at"] == made["created_at"]
    bad: list[dict[str, Any]] = [{"url": "http://new.test/"}, {"event_types": []}, {"name": ""}, {"other": 1}]
    for body in bad:
        assert post(aws, tenant, path, **body)[0] == 400
    assert aws.call("GET", path, tenant=tenant)[1] == changed


def test_endpoints_are_listed_in_pages_newest_first(aws: World, tenant: str) -> None:
    ids = []
    for number in range(3):
        ids.append(create(aws, tenant, name=f"{number}")["id"])
        aws.pass_time(1)
    newest = ids[::-1]
    status, first = aws.call("GET", EVENTS, query={"limit": "2"}, tenant=tenant)
    assert (status, first["has_more"], first["first_id"], first["last_id"]) == (200, True, *newest[:2])
    second = aws.call("GET", EVENTS, query={"limit": "2", "after": newest[1]}, tenant=tenant)[1]
    assert ([each["id"] for each in second["data"]], second["has_more"]) == (newest[2:], False)
    assert aws.call("GET", EVENTS, query={"after": "we_unknown"}, tenant=tenant)[0] == 404
    assert aws.call("GET", EVENTS, query={"limit": "101"}, tenant=tenant)[0] == 400


def test_a_tenant_has_twenty_endpoints_at_most(aws: World, tenant: str) -> None:
    made = [create(aws, tenant) for _ in range(MAX_ENDPOINTS)]
    status, answer = post(aws, tenant, name="x", url="https://hooks.test/", event_types=ALL)
    assert (status, answer["error"]["code"]) == (400, "webhook_endpoint_limit_exceeded")
    assert aws.call("DELETE", f"{EVENTS}/{made[0]['id']}", tenant=tenant)[0] == 200
    create(aws, tenant)


def test_another_tenant_cannot_find_an_endpoint(aws: World, tenant: str, inbox: Inbox) -> None:
    path = f"{EVENTS}/{create(aws, tenant)['id']}"
    others = next(_tenants)
    answers = [
        aws.call("GET", path, tenant=others),
        post(aws, others, path, name="mine"),
        post(aws, others, f"{path}/rotate_secret"),
        post(aws, others, f"{path}/test", event_type="batch.failed"),
        aws.call("DELETE", path, tenant=others),
        aws.call("GET", EVENTS, query={"after": path.rsplit("/", 1)[1]}, tenant=others),
    ]
    for impossible in ("IDS", "we_" + "x" * 2_000, "batch_0", "we_é"):
        for method in ("GET", "POST", "DELETE"):
            assert aws.call(method, f"{EVENTS}/{impossible}", b"{}", tenant=tenant)[0] == 404
    unknown = aws.call("GET", f"{EVENTS}/we_0", tenant=tenant)
    assert [status for status, _ in [*answers, unknown]] == [404] * 7
    assert {body["error"]["code"] for _, body in answers} == {unknown[1]["error"]["code"]}
    assert aws.call("GET", EVENTS, tenant=others)[1]["data"] == []
    assert inbox.deliveries == []
    assert aws.call("GET", path, tenant=tenant)[1]["name"] == "one"


def test_a_rotation_replaces_the_secret_and_keeps_the_old_one_for_a_day_if_asked_to(
    aws: World, tenant: str, inbox: Inbox
) -> None:
    made = create(aws, tenant)
    path = f"{EVENTS}/{made['id']}"

    def secrets() -> tuple[str, ...]:
        assert post(aws, tenant, f"{path}/test", event_type="batch.failed")[0] == 200
        sent = inbox.deliveries[-1]
        return sent.endpoint.secrets(sent.at)

    assert secrets() == (made["signing_secret"],)
    kept = post(aws, tenant, f"{path}/rotate_secret", keep_old_secret_active_for_24_hours=True)[1]
    assert secrets() == (kept["signing_secret"], made["signing_secret"])
    assert kept["signing_secret_hint"] != made["signing_secret_hint"]
    aws.pass_time(86_400)
    assert secrets() == (kept["signing_secret"],)
    post(aws, tenant, f"{path}/rotate_secret", keep_old_secret_active_for_24_hours=True)
    last = post(aws, tenant, f"{path}/rotate_secret")[1]
    assert secrets() == (last["signing_secret"],)
    assert len({each["signing_secret"] for each in (made, kept, last)}) == 3


def test_after_a_second_rotation_within_a_day_only_the_latest_old_secret_signs(
    aws: World, tenant: str, inbox: Inbox
) -> None:
    path = f"{EVENTS}/{create(aws, tenant)['id']}"
    second, third = (
        post(aws, tenant, f"{path}/rotate_secret", keep_old_secret_active_for_24_hours=True)[1]
        for _ in range(2)
    )
    assert post(aws, tenant, f"{path}/test", event_type="batch.failed")[0] == 200
    (sent,) = inbox.deliveries
    assert sent.endpoint.secrets(sent.at) == (third["signing_secret"], second["signing_secret"])


def test_a_rotation_needs_no_body(aws: World, tenant: str) -> None:
    made = create(aws, tenant)
    status, rotated = aws.call("POST", f"{EVENTS}/{made['id']}/rotate_secret", tenant=tenant)
    assert status == 200
    assert rotated["signing_secret"] != made["signing_secret"]


def test_a_test_returns_the_status_and_fails_without_one(aws: World, tenant: str, inbox: Inbox) -> None:
    made = create(aws, tenant, event_types=["batch.completed"])
    path = f"{EVENTS}/{made['id']}/test"
    inbox.answer = Receipt(503)
    assert post(aws, tenant, path, event_type="batch.cancelled") == (
        200,
        {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": made["id"],
            "event_type": "batch.cancelled",
            "success": True,
            "status_code": 503,
        },
    )
    inbox.answer = Receipt(None, "it timed out")
    status, answer = post(aws, tenant, path, event_type="batch.cancelled")
    assert (status, answer["error"]["code"]) == (400, "webhook_delivery_failed")
    assert post(aws, tenant, path, event_type="response.completed")[0] == 400
    assert len(inbox.deliveries) == 2


def test_the_event_types_are_those_of_batches(aws: World, tenant: str) -> None:
    assert aws.call("GET", "/webhook_event_types", tenant=tenant) == (
        200,
        {"object": "list", "data": BATCHES.split(", ")},
    )


def events_of(inbox: Inbox) -> list[tuple[str, str]]:
    return [(each.event.batch_id, each.event.type) for each in inbox.deliveries]


def test_a_batch_that_fails_or_is_cancelled_sends_its_event_and_publishes_it(
    aws: World, tenant: str, inbox: Inbox
) -> None:
    queue = aws.clients.sqs.create_queue(QueueName=f"of-{tenant}")["QueueUrl"]
    arn = aws.clients.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    bus = aws.clients.events
    pattern = json.dumps({"source": ["nightlane"], "detail": {"tenant": [tenant]}})
    bus.put_rule(Name=tenant, EventBusName=BUS, EventPattern=pattern)
    target: Any = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    bus.put_targets(Rule=tenant, EventBusName=BUS, Targets=[target])
    create(aws, tenant)
    failed = aws.create(aws.upload(b"{}\n", tenant), tenant=tenant)
    aws.run()
    cancelled = aws.create(aws.upload(requests(1), tenant), tenant=tenant)
    assert aws.call("POST", f"/batches/{cancelled}/cancel", tenant=tenant)[0] == 200
    aws.run()
    assert events_of(inbox) == [(failed, "batch.failed"), (cancelled, "batch.cancelled")]
    assert inbox.deliveries[0].event.created_at == aws.batch(failed).failed_at
    assert inbox.deliveries[1].event.created_at == aws.batch(cancelled).cancelled_at
    received: Any = aws.clients.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    published = [json.loads(message["Body"]) for message in received["Messages"]]
    assert {each["detail-type"]: each["detail"]["data"]["id"] for each in published} == {
        "batch.failed": failed,
        "batch.cancelled": cancelled,
    }
    assert {each["detail"]["id"] for each in published} == {each.event.id for each in inbox.deliveries}


def test_an_event_that_is_refused_is_sent_again_by_the_sweeper(aws: World, tenant: str, inbox: Inbox) -> None:
    create(aws, tenant)
    inbox.answer = Receipt(500)
    batch_id = aws.create(aws.upload(b"{}\n", tenant), tenant=tenant)
    aws.run()
    aws.sweep()
    aws.run()
    assert len(inbox.deliveries) == 1
    inbox.answer = Receipt(200)
    aws.pass_time(70)
    aws.sweep()
    aws.run()
    first, second = inbox.deliveries
    assert (first.webhook_id, first.event.batch_id) == (second.webhook_id, batch_id)
    assert second.at >= first.at + 60
    assert aws.ports.webhooks.events.get_event(first.event.id) is None


def test_a_dead_letter_of_an_event_leaves_it_to_the_sweeper(aws: World, tenant: str, inbox: Inbox) -> None:
    create(aws, tenant)
    aws.create(aws.upload(b"{}\n", tenant), tenant=tenant)
    assert aws.deliver("plan")
    message = aws.receive("notify")
    assert message is not None
    aws.clients.sqs.send_message(QueueUrl=aws.urls["dead"], MessageBody=message["Body"])
    aws.clients.sqs.delete_message(QueueUrl=aws.urls["notify"], ReceiptHandle=message["ReceiptHandle"])
    aws.run()
    assert aws.deliver("dead")
    assert inbox.deliveries == []
    aws.pass_time(31)
    aws.sweep()
    aws.run()
    assert len(inbox.deliveries) == 1


def test_a_batch_ends_although_its_event_cannot_be_sent(aws: World, tenant: str, inbox: Inbox) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            if name == "send_event":
                raise OSError("SQS is down")
            return getattr(aws.ports.queues, name)

    create(aws, tenant)
    batch_id = aws.create(aws.upload(b"{}\n", tenant), tenant=tenant)
    aws.ports_of["plan"] = dataclasses.replace(aws.ports, queues=Broken())
    try:
        aws.run()
    finally:
        del aws.ports_of["plan"]
    assert aws.batch(batch_id).status == "failed"
    assert inbox.deliveries == []
    aws.pass_time(31)
    aws.sweep()
    aws.run()
    assert events_of(inbox) == [(batch_id, "batch.failed")]
