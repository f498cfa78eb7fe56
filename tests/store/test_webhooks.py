"""Webhook endpoints and the outbox of events, on every store."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from nightlane.domain.batch import BatchError, Outcome
from nightlane.domain.webhook import (
    FIRST_SWEEP_SECONDS,
    Attempts,
    Event,
    EventType,
    Health,
    WebhookEndpoint,
    event_id_of,
)
from nightlane.domain.webhook_ports import DueEvent
from tests.store.conftest import Stores
from tests.store.examples import NOW, assembling, planned, planning, running

LIMIT = 3


def new_endpoint(number: int = 0, tenant: str = "acme") -> WebhookEndpoint:
    return WebhookEndpoint(
        id=f"we_{number}",
        tenant=tenant,
        name="é",
        url="https://hooks.test/a",
        event_types=(EventType.COMPLETED, EventType.FAILED),
        created_at=NOW,
        updated_at=NOW,
        listed=f"{NOW * 1000 + number:013d}#we_{number}",
        secret="whsec_AAAA",
    )


def ended(stores: Stores, number: int = 0) -> Event:
    """End a batch, and return its event."""
    batch = planning(stores.batches, number)
    assert stores.batches.fail_batch(batch, [BatchError("x", "y")], NOW)
    event = stores.events.get_event(event_id_of(batch.id))
    assert event is not None
    return event


def test_an_endpoint_is_found_by_its_tenant_only(stores: Stores) -> None:
    endpoint = new_endpoint()
    assert stores.endpoints.create_endpoint(endpoint, LIMIT)
    assert stores.endpoints.get_endpoint("acme", endpoint.id) == endpoint
    for tenant in ("other", "acme#", "acm"):
        assert stores.endpoints.get_endpoint(tenant, endpoint.id) is None
        assert stores.endpoints.list_endpoints(tenant) == []
        assert not stores.endpoints.delete_endpoint(tenant, endpoint.id)
        assert not stores.endpoints.change_endpoint(dataclasses.replace(endpoint, tenant=tenant, version=2))
        assert not stores.endpoints.note_health(dataclasses.replace(endpoint, tenant=tenant), Health(1))
    assert stores.endpoints.list_endpoints("acme") == [endpoint]


def test_endpoints_are_listed_newest_first_whatever_their_ids(stores: Stores) -> None:
    made = [dataclasses.replace(new_endpoint(9 - number), listed=f"{number}") for number in range(LIMIT)]
    for endpoint in made:
        assert stores.endpoints.create_endpoint(endpoint, LIMIT)
    assert stores.endpoints.list_endpoints("acme") == made[::-1]


def test_what_is_no_endpoint_is_not_found(stores: Stores) -> None:
    assert stores.endpoints.create_endpoint(new_endpoint(), LIMIT)
    assert stores.endpoints.get_endpoint("acme", "IDS") is None


def test_a_tenant_has_a_limit_of_its_own_and_a_deleted_endpoint_makes_room(stores: Stores) -> None:
    for number in range(LIMIT):
        assert stores.endpoints.create_endpoint(new_endpoint(number), LIMIT)
    assert not stores.endpoints.create_endpoint(new_endpoint(LIMIT), LIMIT)
    assert stores.endpoints.create_endpoint(new_endpoint(0, "other"), LIMIT)
    assert stores.endpoints.delete_endpoint("acme", "we_0")
    assert not stores.endpoints.delete_endpoint("acme", "we_0")
    assert stores.endpoints.get_endpoint("acme", "we_0") is None
    assert stores.endpoints.create_endpoint(new_endpoint(LIMIT), LIMIT)
    assert len(stores.endpoints.list_endpoints("acme")) == LIMIT


def test_the_limit_holds_when_endpoints_are_created_at_once(stores: Stores) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(
            pool.map(lambda n: stores.endpoints.create_endpoint(new_endpoint(n), LIMIT), range(2 * LIMIT))
        )
    assert made.count(True) == LIMIT == len(stores.endpoints.list_endpoints("acme"))


def test_only_the_next_version_of_an_endpoint_is_stored_and_its_health_is_kept(stores: Stores) -> None:
    endpoint = new_endpoint()
    stores.endpoints.create_endpoint(endpoint, LIMIT)
    assert stores.endpoints.note_health(endpoint, Health(2, NOW + 9))
    changed = dataclasses.replace(
        endpoint,
        name="new",
        url="https://hooks.test/b",
        event_types=(EventType.EXPIRED,),
        updated_at=NOW + 5,
        secret="whsec_BBBB",
        previous_secret="whsec_AAAA",
        previous_until=NOW + 99,
        version=2,
    )
    assert stores.endpoints.change_endpoint(changed)
    assert not stores.endpoints.change_endpoint(changed)
    stored = stores.endpoints.get_endpoint("acme", endpoint.id)
    assert stored == dataclasses.replace(changed, health=Health(2, NOW + 9))
    stores.endpoints.delete_endpoint("acme", endpoint.id)
    assert not stores.endpoints.change_endpoint(dataclasses.replace(changed, version=3))
    assert stores.endpoints.get_endpoint("acme", endpoint.id) is None


def test_only_one_of_two_that_saw_the_same_health_replaces_it(stores: Stores) -> None:
    endpoint = new_endpoint()
    stores.endpoints.create_endpoint(endpoint, LIMIT)
    assert stores.endpoints.note_health(endpoint, Health(5, NOW + 60))
    assert not stores.endpoints.note_health(endpoint, Health(1))
    assert not stores.endpoints.note_health(new_endpoint(7), Health(1))
    assert [each.health for each in stores.endpoints.list_endpoints("acme")] == [Health(5, NOW + 60)]


def test_a_failed_batch_and_its_event_appear_together(stores: Stores) -> None:
    batch = planning(stores.batches)
    event_id = event_id_of(batch.id)
    assert not stores.batches.fail_batch(replace(batch, epoch=7), [], NOW)
    assert stores.events.get_event(event_id) is None
    assert stores.batches.fail_batch(batch, [], NOW)
    event = stores.events.get_event(event_id)
    assert event == Event(
        id=event_id, tenant="acme", type=EventType.FAILED, batch_id=batch.id, created_at=NOW
    )


def test_a_finished_batch_and_its_event_appear_together(stores: Stores) -> None:
    for number, outcome in enumerate((Outcome.EXPIRED, Outcome.CANCELLED)):
        batch = assembling(stores.batches, running(stores.batches, number), outcome)
        event_id = event_id_of(batch.id)
        assert not stores.batches.finish_batch(replace(batch, epoch=7), outcome, NOW, None, None)
        assert stores.events.get_event(event_id) is None
        assert stores.batches.finish_batch(batch, outcome, NOW + 3, None, None)
        event = stores.events.get_event(event_id)
        assert event is not None
        assert (event.type, event.created_at) == (f"batch.{outcome}", NOW + 3)


def test_a_repeated_end_does_not_bring_a_delivered_event_back(stores: Stores) -> None:
    batch = assembling(stores.batches, planned(stores.batches))
    assert stores.batches.finish_batch(batch, Outcome.EXPIRED, NOW, None, None)
    stores.events.forget_event(event_id_of(batch.id))
    # The same step is told that it has ended the batch.
    assert stores.batches.finish_batch(batch, Outcome.EXPIRED, NOW, None, None)
    assert stores.events.get_event(event_id_of(batch.id)) is None


def test_only_the_next_version_of_an_event_is_saved(stores: Stores) -> None:
    event = ended(stores)
    held = replace(event, version=1, held_until=NOW + 120)
    assert stores.events.save_event(held)
    assert not stores.events.save_event(held)
    assert stores.events.get_event(event.id) == held
    waiting = replace(held, version=2, held_until=0, pending={"we_1": Attempts(1, NOW + 60)})
    assert stores.events.save_event(waiting)
    assert stores.events.get_event(event.id) == waiting
    stores.events.forget_event(event.id)
    stores.events.forget_event(event.id)
    assert not stores.events.save_event(replace(waiting, version=3))
    assert stores.events.get_event(event.id) is None


def test_an_event_is_due_when_its_message_should_have_arrived_and_then_when_it_says(stores: Stores) -> None:
    event = ended(stores)
    first = NOW + FIRST_SWEEP_SECONDS
    assert list(stores.events.due_events(first - 1, 10)) == []
    assert list(stores.events.due_events(first, 10)) == [DueEvent(event.id, first)]
    stores.events.save_event(replace(event, version=1, pending={"we_1": Attempts(1, NOW + 90)}))
    assert list(stores.events.due_events(NOW + 89, 10)) == []
    assert list(stores.events.due_events(NOW + 90, 10)) == [DueEvent(event.id, NOW + 90)]


def test_a_postponed_event_is_due_later_unless_it_has_changed(stores: Stores) -> None:
    event = ended(stores)
    (due,) = stores.events.due_events(NOW + 60, 10)
    stores.events.postpone_event(due, NOW + 120)
    assert list(stores.events.due_events(NOW + 60, 10)) == []
    stores.events.postpone_event(due, NOW + 500)
    assert [each.wake_at for each in stores.events.due_events(NOW + 999, 10)] == [NOW + 120]
    assert stores.events.get_event(event.id) == event
    stores.events.forget_event(event.id)
    stores.events.postpone_event(due, NOW + 600)
    assert stores.events.get_event(event.id) is None


def test_due_events_come_in_order_and_no_more_than_asked_for(stores: Stores) -> None:
    events = [ended(stores, number) for number in range(3)]
    for event, delay in zip(events, (30, 10, 20), strict=True):
        pending = {"we_1": Attempts(1, NOW + delay)}
        stores.events.save_event(replace(event, version=1, pending=pending))
    assert [each.wake_at - NOW for each in stores.events.due_events(NOW + 99, 2)] == [10, 20]


def test_events_are_not_among_the_batches_that_are_due(stores: Stores) -> None:
    ended(stores)
    assert list(stores.batches.due(NOW + 9_999)) == []
