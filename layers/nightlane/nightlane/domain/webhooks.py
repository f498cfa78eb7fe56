"""What clients do with webhook endpoints: create, retrieve, update, delete, list, rotate the secret, test."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from nightlane.domain.addresses import is_public
from nightlane.domain.errors import BadRequest, Conflict, NotFound
from nightlane.domain.ids import is_possible, shorten
from nightlane.domain.ports import Ports
from nightlane.domain.stores import list_key
from nightlane.domain.webhook import Event, EventType, WebhookEndpoint
from nightlane.domain.webhook_delivery import delivery_of
from nightlane.webhook_settings import WebhookSettings

MAX_ENDPOINTS = 20
"""Per tenant. All of them are sent an event at the same time."""
MAX_URL_LENGTH = 2_048
ID_PREFIX = "we_"
SECRET_BYTES = 32
KEPT_SECONDS = 86_400
CHANGE_ATTEMPTS = 5


def create_endpoint(
    ports: Ports[WebhookSettings], tenant: str, name: str, url: str, event_types: Sequence[EventType]
) -> WebhookEndpoint:
    """Create an endpoint with a new secret. Raises: BadRequest, also if the tenant has too many endpoints."""
    check_url(url, allow_private=ports.settings.webhook_allow_private_addresses)
    now, endpoint_id = ports.now(), f"{ID_PREFIX}{ports.new_id()}"
    endpoint = WebhookEndpoint(
        id=endpoint_id,
        tenant=tenant,
        name=name,
        url=url,
        event_types=tuple(dict.fromkeys(event_types)),
        created_at=int(now),
        updated_at=int(now),
        listed=list_key(now, endpoint_id),
        secret=_new_secret(),
    )
    if not ports.webhooks.endpoints.create_endpoint(endpoint, MAX_ENDPOINTS):
        message = f"There may be at most {MAX_ENDPOINTS} webhook endpoints. Delete one first."
        raise BadRequest(message, code="webhook_endpoint_limit_exceeded")
    return endpoint


def get_endpoint(ports: Ports, tenant: str, endpoint_id: str) -> WebhookEndpoint:
    """Return an endpoint of the tenant. Raises: NotFound."""
    store = ports.webhooks.endpoints
    endpoint = store.get_endpoint(tenant, endpoint_id) if _is_endpoint_id(endpoint_id) else None
    if endpoint is None:
        raise _not_found(endpoint_id)
    return endpoint


def list_endpoints(ports: Ports, tenant: str, *, after: str | None, limit: int) -> list[WebhookEndpoint]:
    """Return up to `limit` + 1 endpoints, newest first. Raises: NotFound, if there is no `after`."""
    position = get_endpoint(ports, tenant, after).listed if after else None
    endpoints = ports.webhooks.endpoints.list_endpoints(tenant)
    return [each for each in endpoints if position is None or each.listed < position][: limit + 1]


def update_endpoint(
    ports: Ports[WebhookSettings],
    tenant: str,
    endpoint_id: str,
    *,
    name: str | None = None,
    url: str | None = None,
    event_types: Sequence[EventType] | None = None,
) -> WebhookEndpoint:
    """Change what is given. If nothing changes, `updated_at` stays.

    Raises: NotFound, BadRequest, Conflict.
    """
    if url is not None:
        check_url(url, allow_private=ports.settings.webhook_allow_private_addresses)
    for _ in range(CHANGE_ATTEMPTS):
        stored = get_endpoint(ports, tenant, endpoint_id)
        changed = replace(
            stored,
            name=stored.name if name is None else name,
            url=stored.url if url is None else url,
            event_types=stored.event_types if event_types is None else tuple(dict.fromkeys(event_types)),
        )
        if changed == stored:
            return stored
        if (written := _change(ports, changed)) is not None:
            return written
    raise _changing_all_the_time(endpoint_id)


def rotate_secret(ports: Ports, tenant: str, endpoint_id: str, *, keep_old: bool) -> WebhookEndpoint:
    """Replace the secret; `keep_old` lets the old one sign, too, for 24 hours. Raises: NotFound, Conflict."""
    secret = _new_secret()
    for _ in range(CHANGE_ATTEMPTS):
        stored = get_endpoint(ports, tenant, endpoint_id)
        if stored.secret == secret:
            return stored
        changed = replace(
            stored,
            secret=secret,
            previous_secret=stored.secret if keep_old else "",
            previous_until=int(ports.now()) + KEPT_SECONDS if keep_old else 0,
        )
        if (written := _change(ports, changed)) is not None:
            return written
    raise _changing_all_the_time(endpoint_id)


def delete_endpoint(ports: Ports, tenant: str, endpoint_id: str) -> None:
    """Delete an endpoint; what was not delivered to it is dropped. Raises: NotFound."""
    store = ports.webhooks.endpoints
    if not (_is_endpoint_id(endpoint_id) and store.delete_endpoint(tenant, endpoint_id)):
        raise _not_found(endpoint_id)


def send_test_event(
    ports: Ports[WebhookSettings], tenant: str, endpoint_id: str, event_type: EventType
) -> int:
    """Send a sample event once, now, and return the status of the answer.

    Raises: NotFound; BadRequest, if there was no answer.
    """
    endpoint, now = get_endpoint(ports, tenant, endpoint_id), int(ports.now())
    sample = Event(
        id=f"evt_test_{ports.new_id()}",
        tenant=tenant,
        type=event_type,
        batch_id="batch_test",
        created_at=now,
    )
    (receipt,) = ports.webhooks.send(
        [delivery_of(sample, endpoint, now)],
        allow_private=ports.settings.webhook_allow_private_addresses,
    )
    if receipt.status is None:
        message = f"The webhook endpoint did not answer: {receipt.problem}."
        raise BadRequest(message, code="webhook_delivery_failed")
    return receipt.status


def check_url(url: str, *, allow_private: bool) -> None:
    """Check what can be checked without a lookup; addresses are checked at each connection.

    Raises: BadRequest.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if len(url) > MAX_URL_LENGTH or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise _bad_url(f"Expected an absolute URL of at most {MAX_URL_LENGTH} ASCII characters.")
    if parts.scheme not in (("https", "http") if allow_private else ("https",)):
        raise _bad_url("Expected an HTTPS URL.")
    if "@" in parts.netloc or "#" in url:
        raise _bad_url("A URL with credentials or a fragment is not supported.")
    if not allow_private and _is_address(host) and not is_public(host):
        raise _bad_url("Its address is not public.")


def _is_endpoint_id(text: str) -> bool:
    return text.startswith(ID_PREFIX) and is_possible(text)


def _not_found(endpoint_id: str) -> NotFound:
    return NotFound(f"No webhook endpoint found with id '{shorten(endpoint_id)}'.")


def _bad_url(reason: str) -> BadRequest:
    return BadRequest(f"Invalid 'url'. {reason}", code="invalid_value", param="url")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _change(ports: Ports, changed: WebhookEndpoint) -> WebhookEndpoint | None:
    """Store the next version of an endpoint; None if another change came first."""
    written = replace(changed, version=changed.version + 1, updated_at=int(ports.now()))
    return written if ports.webhooks.endpoints.change_endpoint(written) else None


def _changing_all_the_time(endpoint_id: str) -> Conflict:
    return Conflict(f"The webhook endpoint '{endpoint_id}' is being changed by other requests. Try again.")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
