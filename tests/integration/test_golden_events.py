"""The handlers on AWS's own events, and the rig's events against them."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.authorize import handler as authorize
from infra.home.events import authorizer_event, proxy_event
from nightlane.aws.table import DynamoKeys
from nightlane.domain.batch import BatchStatus
from nightlane.domain.keys import ApiKey
from nightlane.settings import Settings
from tests.rig.events import sqs_event
from tests.world import LambdaContext, world

EVENTS = Path(__file__).parents[1] / "events"


def golden(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def shape(value: Any) -> Any:
    """Keys and kinds, without the values."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return type(value).__name__


def test_api_gateways_event_makes_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(Settings(), monkeypatch) as nightlane:
        answer = nightlane.invoke("api", golden("api_create_batch"))
        assert answer["statusCode"] == 200
        batch = nightlane.batch(json.loads(answer["body"])["id"])
        assert (batch.tenant, batch.status) == ("acme", BatchStatus.VALIDATING)


def test_a_message_for_a_batch_that_is_no_more_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(Settings(), monkeypatch) as nightlane:
        assert nightlane.invoke("infer", golden("sqs_infer")) == {"batchItemFailures": []}


def test_the_authorizer_knows_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(Settings(), monkeypatch) as nightlane:
        keys = DynamoKeys(nightlane.clients.dynamodb, nightlane.ports.settings.table_name)
        context: Any = LambdaContext("authorize")
        event = golden("authorizer")
        denied = authorize.handler(event, context)
        assert denied["policyDocument"]["Statement"][0]["Effect"] == "Deny"
        assert denied["context"]["message"] == (
            "Incorrect API key provided: sk-****cdef. Create one with `nightlane keys create`."
        )
        keys.create_key(ApiKey.of("sk-acme-0123456789abcdef", "acme", 1))
        allowed = authorize.handler(event, context)
        (statement,) = allowed["policyDocument"]["Statement"]
        assert statement["Effect"] == "Allow"
        assert statement["Resource"] == "arn:aws:execute-api:us-east-1:123456789012:abcdefghij/v1/*"
        assert allowed["context"] == {"tenant": "acme"}
        for token in ("", "Bearer", "Bearer ", "Basic abc"):
            with pytest.raises(Exception, match=r"^Unauthorized$"):
                authorize.handler(event | {"authorizationToken": token}, context)


def test_the_local_homes_events_have_awss_shape() -> None:
    api = golden("api_create_batch")
    made = proxy_event(
        "POST", "/batches", [], list(api["headers"].items()), api["body"].encode(), {"tenant": "acme"}
    )
    api["requestContext"]["authorizer"] = {"tenant": "acme"}
    assert shape(made) == shape(api)
    (record,) = golden("sqs_infer")["Records"]
    message = {
        "MessageId": record["messageId"],
        "ReceiptHandle": record["receiptHandle"],
        "Body": record["body"],
        "MD5OfBody": record["md5OfBody"],
        "Attributes": record["attributes"],
    }
    assert sqs_event("infer.fifo", message) == golden("sqs_infer")
    assert shape(authorizer_event("Bearer x", "POST", "/batches")) == shape(golden("authorizer"))
