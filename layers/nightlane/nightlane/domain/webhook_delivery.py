"""notify: sends an event to the endpoints that are due, and decides when the others get it again.

Source: https://platform.openai.com/docs/guides/webhooks and
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from msgspec.structs import replace

from nightlane.api_settings import StepSettings
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.webhook import HEALTHY, Attempts, Event, Health, WebhookEndpoint, event_id_of
from nightlane.domain.webhook_ports import Delivery, Receipt
from nightlane.webhook_settings import WebhookSettings

# Longer than an invocation of notify.
HOLD_SECONDS = 120
GIVE_UP_SECONDS = 72 * 3_600
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 60, 4 * 3_600
# The breaker of an endpoint: after so many failures in a row it rests, and then one event probes it.
FAILURES_BEFORE_REST = 5
FIRST_REST_SECONDS, MAX_REST_SECONDS = 60, 3_600
PROBE_SECONDS = 30
# The destination that is not an endpoint of a tenant.
BUS = "event-bus"
MAX_EVENTS_PER_SWEEP = 500

Pending = Mapping[str, Attempts]


@dataclass(frozen=True, slots=True)
class Unsent:
    """Why an event is not sent to an endpoint now: it rests until then."""

    rests_until: int


def announce(ports: Ports, batch_id: str) -> None:
    """Send the event of a batch that has just ended. If that fails, the sweeper sends it later."""
    try:
        ports.queues.send_event(event_id_of(batch_id))
    except Exception as error:
        ports.metrics.add(Metric.MESSAGES_NOT_SENT)
        ports.log("message not sent", batch_id=batch_id, error=repr(error))


def redrive_events(ports: Ports[StepSettings]) -> None:
    """Send the events that are due: their time has come, their message was lost, or their sender crashed."""
    now = int(ports.now())
    for due in ports.webhooks.events.due_events(now, MAX_EVENTS_PER_SWEEP):
        ports.queues.send_event(due.id)
        ports.webhooks.events.postpone_event(due, now + ports.settings.redrive_seconds)


def deliver_event(ports: Ports[WebhookSettings], event_id: str) -> None:
    """Send an event to every destination that is due. Safe to repeat, and to run twice at once."""
    events, now = ports.webhooks.events, int(ports.now())
    event = events.get_event(event_id)
    if event is None or not event.is_due(now):
        return
    event = replace(event, version=event.version + 1, held_until=now + HOLD_SECONDS)
    if not events.save_event(event):
        return
    endpoints = {each.id: each for each in ports.webhooks.endpoints.list_endpoints(event.tenant)}
    wanted = {each.id: each for each in endpoints.values() if event.type in each.event_types}
    left = _deliver(ports, event, wanted, now)
    if left:
        # A refusal means that this took so long that another function delivers the event now.
        events.save_event(replace(event, version=event.version + 1, held_until=0, pending=left))
    else:
        events.forget_event(event.id)


def _deliver(
    ports: Ports[WebhookSettings], event: Event, endpoints: Mapping[str, WebhookEndpoint], now: int
) -> Pending:
    """Send the event to all that are due; return the destinations that must get it later."""
    pending = _destinations(ports, endpoints, now) if event.pending is None else event.pending
    due = {key: each for key, each in pending.items() if each.next_at <= now}
    left = {key: each for key, each in pending.items() if key not in due and (key in endpoints or key == BUS)}
    results = _send(ports, event, [each for key, each in endpoints.items() if key in due], now)
    if BUS in due and ports.webhooks.bus is not None:
        results[BUS] = _publish(ports, event)
    for key, result in results.items():
        if isinstance(result, Receipt) and result.is_success:
            ports.metrics.add(Metric.WEBHOOKS_DELIVERED)
        elif (later := _retry(ports, event, key, due[key], result)) is not None:
            left[key] = later
    return left


def _destinations(ports: Ports, endpoints: Mapping[str, WebhookEndpoint], now: int) -> Pending:
    keys = [*endpoints, *([BUS] if ports.webhooks.bus is not None else [])]
    return {key: Attempts(0, now) for key in keys}


def _send(
    ports: Ports[WebhookSettings], event: Event, endpoints: list[WebhookEndpoint], now: int
) -> dict[str, Receipt | Unsent]:
    results: dict[str, Receipt | Unsent] = {}
    awake: list[WebhookEndpoint] = []
    for each in endpoints:
        asked = _ask_breaker(ports, each, now)
        if isinstance(asked, Unsent):
            results[each.id] = asked
        else:
            awake.append(asked)
    if awake:
        deliveries = [delivery_of(event, each, now) for each in awake]
        allow_private = ports.settings.webhook_allow_private_addresses
        receipts = ports.webhooks.send(deliveries, allow_private=allow_private)
        for endpoint, receipt in zip(awake, receipts, strict=True):
            _note_health(ports, endpoint, receipt, now)
            results[endpoint.id] = receipt
    return results


def delivery_of(event: Event, endpoint: WebhookEndpoint, at: int) -> Delivery:
    """Return an attempt to send an event to an endpoint."""
    digest = sha256(f"{event.id} {endpoint.id}".encode()).hexdigest()
    return Delivery(endpoint, event, f"wh_{digest[:32]}", at)


def _ask_breaker(ports: Ports, endpoint: WebhookEndpoint, now: int) -> WebhookEndpoint | Unsent:
    """Return the endpoint if it may be tried now. After a rest, only one event may try it."""
    health = endpoint.health
    if now < health.rests_until:
        return Unsent(health.rests_until)
    if health.failures < FAILURES_BEFORE_REST:
        return endpoint
    probing = replace(health, rests_until=now + PROBE_SECONDS)
    if not ports.webhooks.endpoints.note_health(endpoint, probing):
        return Unsent(probing.rests_until)
    return dataclasses.replace(endpoint, health=probing)


def _note_health(ports: Ports, endpoint: WebhookEndpoint, receipt: Receipt, now: int) -> None:
    health = HEALTHY if receipt.is_success else worsened(endpoint.health, now)
    if health != endpoint.health:
        # If another event has changed it meanwhile, that is as good a judgement.
        ports.webhooks.endpoints.note_health(endpoint, health)


def worsened(health: Health, now: int) -> Health:
    """Return the health of an endpoint after one more failure."""
    failures = health.failures + 1
    excess = failures - FAILURES_BEFORE_REST
    if excess < 0:
        return Health(failures)
    # The exponent is bounded, because the failures are not.
    rest = min(FIRST_REST_SECONDS * 2 ** min(excess, 16), MAX_REST_SECONDS)
    return Health(failures, now + rest)


def _publish(ports: Ports, event: Event) -> Receipt:
    assert ports.webhooks.bus is not None
    try:
        ports.webhooks.bus(event)
    except Exception as error:
        return Receipt(None, repr(error))
    return Receipt(200)


def _retry(
    ports: Ports, event: Event, key: str, attempts: Attempts, result: Receipt | Unsent
) -> Attempts | None:
    """Return when the event is sent again to a destination; None if it is given up."""
    if isinstance(result, Receipt):
        ports.metrics.add(Metric.WEBHOOK_FAILURES)
    now, count = int(ports.now()), attempts.count + 1
    next_at = now + retry_delay(count)
    if isinstance(result, Unsent):
        next_at = max(next_at, result.rests_until)
    if next_at <= event.created_at + GIVE_UP_SECONDS:
        return Attempts(count, next_at)
    ports.metrics.add(Metric.WEBHOOKS_GIVEN_UP)
    ports.log("webhook given up", event_id=event.id, endpoint=key, attempts=count, result=repr(result))
    return None


def retry_delay(attempts: int) -> int:
    """Return after how many seconds to try again: doubling, at most four hours, give or take a tenth."""
    delay = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 16), MAX_RETRY_SECONDS)
    return int(delay * random.uniform(0.9, 1.1))
