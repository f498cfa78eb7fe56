"""The handlers on AWS's own events, and the rig's and the home's events against them.

The shapes of tests/events are AWS's, the values are ours:
https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, and DeadLetterQueueSourceArn:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
"""

import asyncio
import base64
import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestServer

from infra.gateway import STAGE
from infra.home.events import authorizer_event
from infra.home.front import Front
from infra.resources import QUEUES
from nightlane.aws.queues import SqsQueues
from nightlane.aws.table import DynamoKeys
from nightlane.domain.batch import BatchStatus
from nightlane.domain.keys import ApiKey
from nightlane.settings import Settings
from tests.rig.events import scheduled_event, sqs_event
from tests.upstream import Upstream
from tests.world import World, requests, world

EVENTS = Path(__file__).parents[1] / "events"
BATCH = "batch_0123456789abcdef0123456789abcdef"
FILE = "file-0123456789abcdef01234567"
API = [path.stem for path in sorted(EVENTS.glob("api_*.json"))]
MESSAGES = ["plan", "infer", "assemble"]
# X-Ray's, and only where the sender is traced.
TRACE = "AWSTraceHeader"


def golden(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def shape(value: Any) -> Any:
    """Keys and types, without the values."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


@pytest.fixture
def aws(upstream: Upstream) -> Iterator[World]:
    """A Nightlane whose queues have the names that CloudFormation made up."""
    with world(Settings(upstream_url=upstream.url)) as made:
        own: dict[str, str] = {}
        for queue in QUEUES:
            arn = golden(f"sqs_{queue.name}")["Records"][0]["eventSourceARN"]
            kind: Any = {"FifoQueue": "true"} if queue.fifo else {}
            created = made.clients.sqs.create_queue(QueueName=arn.rsplit(":", 1)[1], Attributes=kind)
            made.urls[queue.name] = own[f"{queue.name}_queue_url"] = created["QueueUrl"]
            dead = golden(f"sqs_{queue.name}_dead")["Records"][0]["eventSourceARN"]
            own[f"{queue.name}_dead_letters_arn"] = dead
        settings = made.ports.settings.model_copy(update=own)
        made.ports = replace(made.ports, settings=settings, queues=SqsQueues(made.clients.sqs, settings))
        yield made


def planned(aws: World) -> None:
    """The golden messages' batch, with its one shard sent."""
    aws.create(aws.upload(requests(2)), BATCH)
    deliver(aws, "plan")


def deliver(aws: World, name: str) -> Any:
    """Hand a golden message over, with the receipt of the one that is really in the queue."""
    message = aws.receive(name)
    assert message is not None
    made, event = sqs_event(aws.queue_name(name), message), golden(f"sqs_{name}")
    (record,) = event["Records"]
    assert record["attributes"].pop(TRACE)
    assert shape(made) == shape(event)
    record["receiptHandle"] = message["ReceiptHandle"]
    answer = aws.invoke(name, event)
    aws.clients.sqs.delete_message(QueueUrl=aws.urls[name], ReceiptHandle=message["ReceiptHandle"])
    return answer


def call(aws: World, name: str) -> tuple[int, Any]:
    answer = aws.invoke("api", golden(name))
    return answer["statusCode"], json.loads(answer["body"])


def test_a_json_body_makes_a_batch(aws: World) -> None:
    aws.upload(requests(2), file_id=FILE)
    status, body = call(aws, "api_create_batch")
    assert (status, body["metadata"], body["status"]) == (200, {"Zweck": "Prüfung"}, "validating")
    assert aws.batch(body["id"]).tenant == "acme"
    # The idempotency key in the header is read, too.
    assert call(aws, "api_create_batch")[1]["id"] == body["id"]


def test_of_a_repeated_parameter_the_last_value_counts(aws: World) -> None:
    file_id = aws.upload(requests(2))
    for batch_id in ("batch_0", "batch_1", "batch_2", BATCH):
        aws.create(file_id, batch_id)
        aws.pass_time(1)
    status, body = call(aws, "api_list_batches")
    assert (status, body["has_more"]) == (200, True)
    assert [batch["id"] for batch in body["data"]] == ["batch_2", "batch_1"]


def test_a_form_in_base64_makes_a_file(aws: World) -> None:
    status, body = call(aws, "api_upload_file")
    assert (status, body["filename"], body["purpose"]) == (200, "questions.jsonl", "batch")
    file = aws.ports.files.get_file(body["id"])
    assert file is not None
    (line,) = aws.lines(file.id)
    assert line["body"]["messages"] == [{"role": "user", "content": "Où?"}]
    assert body["bytes"] == len(aws.ports.blobs.get(file.blob_key))


def test_a_file_is_read_and_deleted(aws: World) -> None:
    aws.upload(requests(2), file_id=FILE)
    answer = aws.invoke("api", golden("api_file_content"))
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
    assert answer["body"].encode() == requests(2)
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/octet-stream"]
    assert call(aws, "api_delete_file") == (200, {"id": FILE, "object": "file", "deleted": True})
    assert call(aws, "api_delete_file")[0] == 404


def test_the_authorizer_knows_its_keys(aws: World) -> None:
    keys = DynamoKeys(aws.clients.dynamodb, aws.ports.settings.table_name)
    keys.create_key(ApiKey.of("sk-acme-0123456789abcdef", "acme", 1))
    allowed = aws.invoke("authorize", golden("authorizer"))
    (statement,) = allowed["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:123456789012:k3x9q2m7ab/v1/*"
    assert (allowed["principalId"], allowed["context"]) == ("acme", {"tenant": "acme"})
    denied = aws.invoke("authorize", golden("authorizer_unknown_key"))
    assert denied["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert denied["context"]["message"] == (
        "Incorrect API key provided: sk-****cdef. Create one with `nightlane keys create`."
    )


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer "])
def test_who_shows_no_bearer_key_is_unauthorized(aws: World, token: str | None) -> None:
    event = golden("authorizer_no_bearer") | ({} if token is None else {"authorizationToken": token})
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        aws.invoke("authorize", event)


def test_messages_take_a_batch_from_its_plan_to_its_end(aws: World) -> None:
    planned(aws)
    assert aws.batch(BATCH).status is BatchStatus.IN_PROGRESS
    assert deliver(aws, "infer") == {"batchItemFailures": []}
    assert aws.batch(BATCH).status is BatchStatus.FINALIZING
    deliver(aws, "assemble")
    batch = aws.batch(BATCH)
    assert (batch.status, batch.error_file_id) == (BatchStatus.COMPLETED, None)
    assert [line["response"]["status_code"] for line in aws.lines(batch.output_file_id)] == [200, 200]


def test_a_dead_letter_of_plan_fails_the_batch(aws: World) -> None:
    aws.create(aws.upload(requests(2)), BATCH)
    aws.invoke("dead_letters", golden("sqs_plan_dead"))
    assert aws.batch(BATCH).status is BatchStatus.FAILED


def test_a_dead_letter_of_infer_becomes_error_lines(aws: World) -> None:
    planned(aws)
    aws.invoke("dead_letters", golden("sqs_infer_dead"))
    deliver(aws, "assemble")
    batch = aws.batch(BATCH)
    assert (batch.status, batch.output_file_id) == (BatchStatus.COMPLETED, None)
    assert [line["custom_id"] for line in aws.lines(batch.error_file_id)] == ["request-0", "request-1"]


def test_a_dead_letter_of_assemble_leaves_the_batch_to_be_assembled(aws: World) -> None:
    planned(aws)
    deliver(aws, "infer")
    aws.invoke("dead_letters", golden("sqs_assemble_dead"))
    assert aws.batch(BATCH).status is BatchStatus.FINALIZING
    deliver(aws, "assemble")
    assert aws.batch(BATCH).status is BatchStatus.COMPLETED


def test_the_minute_timer_sends_what_was_lost_again(aws: World) -> None:
    aws.create(aws.upload(requests(2)), BATCH)
    assert aws.receive("plan") is not None
    aws.pass_time(aws.ports.settings.redrive_seconds + 1)
    aws.invoke("sweep", golden("schedule_sweep"))
    assert aws.receive("plan") is not None


@pytest.mark.parametrize("name", MESSAGES)
def test_the_rigs_dead_letters_have_awss_shape(name: str) -> None:
    queue = next(queue for queue in QUEUES if queue.name == name)
    (record,) = golden(f"sqs_{name}_dead")["Records"]
    source = record["attributes"].pop("DeadLetterQueueSourceArn")
    message = {
        "MessageId": record["messageId"],
        "ReceiptHandle": record["receiptHandle"],
        "Body": record["body"],
        "MD5OfBody": record["md5OfBody"],
        "Attributes": record["attributes"],
    }
    suffix = ".fifo" if queue.fifo else ""
    event = sqs_event(queue.dead_letters + suffix, message)
    assert shape(event) == shape(golden(f"sqs_{name}_dead"))
    (made,) = event["Records"]
    assert made["attributes"]["DeadLetterQueueSourceArn"].endswith(f":{queue.name}{suffix}")
    assert source.endswith(suffix)


def test_the_rigs_other_events_have_awss_shape() -> None:
    for name in ("authorizer", "authorizer_unknown_key", "authorizer_no_bearer"):
        event = golden(name)
        method, path = event["methodArn"].split("/", 3)[2:]
        made = authorizer_event(event["authorizationToken"], method, f"/{path}")
        assert shape(made) == shape(event)
        assert made["methodArn"].split("/")[1:] == event["methodArn"].split("/")[1:]
    assert shape(scheduled_event()) == shape(golden("schedule_sweep"))


class Recorder:
    """A function that keeps the event it was called with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.event: Any = None

    async def call(self, event: dict[str, Any]) -> Any:
        self.event = event
        return self.answer


def send(port: int, event: Any) -> None:
    """The request that API Gateway made the event of."""
    pairs = [
        (name, value)
        for name, values in (event["multiValueQueryStringParameters"] or {}).items()
        for value in values
    ]
    query = "&".join(f"{quote(name)}={quote(value, safe='').replace('_', '%5F')}" for name, value in pairs)
    body = (event["body"] or "").encode()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    target = f"/{STAGE}{event['path']}" + (f"?{query}" if query else "")
    connection.putrequest(event["httpMethod"], target, skip_host=True, skip_accept_encoding=True)
    for name, values in event["multiValueHeaders"].items():
        for value in values:
            connection.putheader(name, value)
    body = base64.b64decode(body) if event["isBase64Encoded"] else body
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("name", API)
def test_the_front_makes_awss_event_of_a_request(name: str) -> None:
    event = golden(name)
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    context = event["requestContext"]["authorizer"]
    policy = {
        "principalId": context["principalId"],
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"tenant": context["tenant"]},
    }
    api, allow = Recorder({"statusCode": 200, "body": "{}"}), Recorder(policy)

    async def serve() -> None:
        async with TestServer(Front(api, allow, 1_000_000).application()) as server:
            assert server.port is not None
            await asyncio.to_thread(send, server.port, event)

    asyncio.run(serve())
    made = json.loads(json.dumps(api.event))
    assert shape(allow.event) == shape(golden("authorizer"))
    for headers in (made["headers"], made["multiValueHeaders"]):
        assert headers.pop("Content-Length")
    assert shape(made) == shape(event)
    given, asked = made.pop("requestContext"), event.pop("requestContext")
    assert made == event
    for same in ("httpMethod", "path", "protocol", "resourcePath", "stage"):
        assert given[same] == asked[same]
    assert given["authorizer"] | {"integrationLatency": context["integrationLatency"]} == context
