"""The HTTP message of a delivery: OpenAI's event, signed as Standard Webhooks says.

Source: https://platform.openai.com/docs/guides/webhooks and https://www.standardwebhooks.com
"""

from datetime import UTC, datetime

import msgspec

from nightlane.domain.webhook import Event
from nightlane.domain.webhook_ports import Delivery

USER_AGENT = "Nightlane/1.0 (webhooks)"


def event_body(event: Event) -> bytes:
    """Return the body of a delivery: the same bytes for every attempt."""
    body = {
        "id": event.id,
        "object": "event",
        "created_at": event.created_at,
        "type": event.type.value,
        "data": {"id": event.batch_id},
    }
    return msgspec.json.encode(body)


def delivery_headers(delivery: Delivery, body: bytes) -> dict[str, str]:
    """Return the headers of a delivery, with a signature by each secret that is valid now."""
    secrets = delivery.endpoint.secrets(delivery.at)
    signatures = [sign(secret, delivery.webhook_id, delivery.at, body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": delivery.webhook_id,
        "webhook-timestamp": str(delivery.at),
        "webhook-signature": " ".join(signatures),
    }


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of Standard Webhooks, `v1,` and base64. `timestamp` in seconds since 1970."""
    # Imported here, because only a delivery signs, and the API must start fast.
    from standardwebhooks import Webhook

    return Webhook(secret).sign(webhook_id, datetime.fromtimestamp(timestamp, UTC), body.decode())
