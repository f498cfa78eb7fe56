"""Signatures by Standard Webhooks, checked by the official client."""

import dataclasses
import time

import openai
import pytest
from msgspec.structs import replace

from nightlane.domain.webhook import Event, EventType, WebhookEndpoint
from nightlane.domain.webhook_delivery import delivery_of
from nightlane.webhooks.message import delivery_headers, event_body, sign

# From openai-python, tests/lib/test_webhooks.py.
SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
OTHER_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
PAYLOAD = (
    b'{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, '
    b'"type": "response.completed", "data": {"id": "resp_123"}}'
)
NOW = int(time.time())
CLIENT = openai.OpenAI(api_key="unused", base_url="http://127.0.0.1:9/v1")
EVENT = Event(id="evt_1", tenant="acme", type=EventType.COMPLETED, batch_id="batch_1", created_at=NOW)
ENDPOINT = WebhookEndpoint(
    id="we_1",
    tenant="acme",
    name="é",
    url="https://hooks.test/",
    event_types=tuple(EventType),
    created_at=NOW,
    updated_at=NOW,
    listed="1",
    secret=SECRET,
)


def test_the_signature_is_that_of_openais_own_test() -> None:
    signature = sign(SECRET, "wh_685c059ae39c8190af8c71ed1022a24d", 1_750_861_210, PAYLOAD)
    assert signature == "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="


@pytest.mark.parametrize("event_type", EventType)
def test_the_client_unwraps_every_event(event_type: EventType) -> None:
    event = replace(EVENT, type=event_type)
    body = event_body(event)
    headers = delivery_headers(delivery_of(event, ENDPOINT, NOW), body)
    unwrapped = CLIENT.webhooks.unwrap(body, headers, secret=SECRET)
    assert unwrapped.to_dict() == {
        "id": "evt_1",
        "object": "event",
        "created_at": NOW,
        "type": event_type.value,
        "data": {"id": "batch_1"},
    }
    assert type(unwrapped).__name__ == f"Batch{event_type.name.title()}WebhookEvent"


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_both_secrets_verify_for_a_day_after_a_rotation(secret: str) -> None:
    endpoint = dataclasses.replace(ENDPOINT, previous_secret=OTHER_SECRET, previous_until=NOW + 1)
    body = event_body(EVENT)
    headers = delivery_headers(delivery_of(EVENT, endpoint, NOW), body)
    assert CLIENT.webhooks.unwrap(body, headers, secret=secret).id == "evt_1"
    after = delivery_headers(delivery_of(EVENT, endpoint, NOW + 1), body)
    assert " " in headers["webhook-signature"]
    assert " " not in after["webhook-signature"]


def test_every_attempt_has_the_same_id_and_body_and_a_signature_of_its_own() -> None:
    body = event_body(EVENT)
    first, second = (delivery_headers(delivery_of(EVENT, ENDPOINT, at), body) for at in (NOW, NOW + 60))
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert first["webhook-signature"] != second["webhook-signature"]
    CLIENT.webhooks.verify_signature(body, second, secret=SECRET)


def test_the_same_event_has_another_id_at_another_endpoint() -> None:
    other = dataclasses.replace(ENDPOINT, id="we_2")
    assert delivery_of(EVENT, ENDPOINT, NOW).webhook_id != delivery_of(EVENT, other, NOW).webhook_id


def test_no_secret_is_in_the_text_of_an_endpoint() -> None:
    endpoint = dataclasses.replace(ENDPOINT, previous_secret=OTHER_SECRET)
    assert SECRET[6:] not in repr(endpoint)
    assert OTHER_SECRET[6:] not in repr(endpoint)
    assert endpoint.secret_hint == "whsec_****40c="
