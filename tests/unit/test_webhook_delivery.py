"""When an event is sent to whom: retries, the breaker, and functions that deliver the same event."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from infra.home.parts import open_data
from infra.home.queues import Queue
from nightlane.aws.queues import read_event_message
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.webhook import Event, EventType, Health
from nightlane.domain.webhook_delivery import (
    FAILURES_BEFORE_REST,
    GIVE_UP_SECONDS,
    HOLD_SECONDS,
    MAX_REST_SECONDS,
    MAX_RETRY_SECONDS,
    deliver_event,
    redrive_events,
    retry_delay,
    worsened,
)
from nightlane.domain.webhook_ports import Delivery, Receipt
from nightlane.domain.webhooks import create_endpoint, delete_endpoint, update_endpoint
from nightlane.settings import Settings
from tests.store.examples import planning
from tests.upstream import only

BEGIN = 1_800_000_000
DEAD = Receipt(None, "it timed out")


@dataclass
class Receiver:
    """Records deliveries, and answers as the test says, by the name of the endpoint."""

    answer: Callable[[str], Receipt] = lambda _: Receipt(200)
    deliveries: list[Delivery] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def __call__(self, deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
        assert not allow_private
        self.deliveries += deliveries
        self.meanwhile()
        return [self.answer(each.endpoint.name) for each in deliveries]

    def times(self, name: str, event_id: str | None = None) -> list[int]:
        """When it was sent to an endpoint, in seconds since the test began."""
        return [
            each.at - BEGIN
            for each in self.deliveries
            if each.endpoint.name == name and event_id in (None, each.event.id)
        ]


@dataclass
class Counts:
    """`domain.metrics.Meter` that keeps sums."""

    sums: dict[Metric, float] = field(default_factory=dict)

    def add(self, metric: Metric, value: float = 1, **_dimensions: str) -> None:
        self.sums[metric] = self.sums.get(metric, 0) + value

    def publish(self) -> None: ...


@dataclass
class Post:
    """The outbox, its sweeper and notify, on a clock that only moves when it is told to."""

    ports: Ports[Settings]
    receiver: Receiver
    counts: Counts
    clock: list[float]

    def endpoint(self, name: str, *types: EventType) -> str:
        return create_endpoint(
            self.ports, "acme", name, f"https://{name}.test/", types or tuple(EventType)
        ).id

    def event(self, number: int = 0) -> str:
        """End a batch, and return the id of its event."""
        batch = planning(self.ports.batches, number)
        assert self.ports.batches.fail_batch(batch, [], int(self.clock[0]))
        return f"evt_{number:032x}"

    def stored(self, event_id: str) -> Event | None:
        return self.ports.webhooks.events.get_event(event_id)

    def health(self, name: str) -> Health:
        endpoints = self.ports.webhooks.endpoints.list_endpoints("acme")
        return next(each.health for each in endpoints if each.name == name)

    def deliver(self, event_id: str) -> None:
        deliver_event(self.ports, event_id)

    def run(self, seconds: int, step: int = 60) -> None:
        """Pass time, and sweep and deliver every minute."""
        end = self.clock[0] + seconds
        while self.clock[0] < end:
            self.clock[0] += step
            redrive_events(self.ports)
            self.deliver_messages()

    def deliver_messages(self) -> None:
        queues = self.ports.queues
        while (message := queues.receive(Queue.NOTIFY, 60)) is not None:  # type: ignore[attr-defined]
            self.deliver(read_event_message(message.body))
            queues.delete(message)  # type: ignore[attr-defined]


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    clock, receiver, counts = [float(BEGIN)], Receiver(), Counts()
    settings = Settings(upstreams=only("http://127.0.0.1:9/v1"))
    parts = open_data(tmp_path, settings, lambda: clock[0])
    webhooks = replace(parts.ports.webhooks, send=receiver)
    with closing(parts.database):
        yield Post(
            dataclasses.replace(parts.ports, webhooks=webhooks, metrics=counts), receiver, counts, clock
        )


def test_an_event_goes_once_to_each_endpoint_that_wants_its_type(post: Post) -> None:
    post.endpoint("all")
    post.endpoint("failures", EventType.FAILED)
    post.endpoint("others", EventType.COMPLETED, EventType.EXPIRED)
    event_id = post.event()
    post.deliver(event_id)
    post.deliver(event_id)
    assert sorted(each.endpoint.name for each in post.receiver.deliveries) == ["all", "failures"]
    assert post.stored(event_id) is None
    assert post.counts.sums == {Metric.WEBHOOKS_DELIVERED: 2}


def test_an_event_that_nobody_wants_leaves_nothing_behind(post: Post) -> None:
    event_id = post.event()
    post.deliver(event_id)
    assert post.stored(event_id) is None


def test_an_event_of_another_tenant_is_not_sent(post: Post) -> None:
    create_endpoint(post.ports, "other", "other", "https://other.test/", tuple(EventType))
    post.deliver(post.event())
    assert post.receiver.deliveries == []


@pytest.mark.parametrize("status", [300, 301, 302, 400, 404, 410, 429, 500, 503, None])
def test_only_a_2xx_is_a_success(post: Post, status: int | None) -> None:
    post.endpoint("one")
    post.receiver.answer = lambda _: Receipt(status)
    event_id = post.event()
    post.deliver(event_id)
    assert post.stored(event_id) is not None
    post.receiver.answer = lambda _: Receipt(204)
    post.run(180)
    assert post.stored(event_id) is None
    assert post.counts.sums == {Metric.WEBHOOK_FAILURES: 1, Metric.WEBHOOKS_DELIVERED: 1}


def test_only_the_endpoint_that_failed_gets_an_event_again(post: Post) -> None:
    post.endpoint("good")
    post.endpoint("bad")
    post.receiver.answer = lambda name: Receipt(200) if name == "good" else DEAD
    post.deliver(post.event())
    post.run(3_600)
    assert post.receiver.times("good") == [0]
    assert len(post.receiver.times("bad")) > 3


def test_retries_come_at_growing_distances_until_the_event_is_72_hours_old(post: Post) -> None:
    post.endpoint("dead")
    post.receiver.answer = lambda _: DEAD
    event_id = post.event()
    post.deliver(event_id)
    post.run(GIVE_UP_SECONDS + 6 * 3_600, step=300)
    times = post.receiver.times("dead")
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(times) <= GIVE_UP_SECONDS
    assert max(times) > GIVE_UP_SECONDS - 2 * MAX_RETRY_SECONDS
    assert max(gaps) <= 1.1 * MAX_RETRY_SECONDS + 600
    assert len(times) < 40
    assert post.stored(event_id) is None
    assert post.counts.sums[Metric.WEBHOOKS_GIVEN_UP] == 1
    assert {each.webhook_id for each in post.receiver.deliveries} == {post.receiver.deliveries[0].webhook_id}


def test_the_delay_doubles_up_to_four_hours() -> None:
    delays = [retry_delay(attempts) for attempts in range(1, 100)]
    for delay, middle in zip(delays, (60, 120, 240, 480, 960, 1_920, 3_840, 7_680), strict=False):
        assert 0.9 * middle - 1 <= delay <= 1.1 * middle
    assert max(delays) <= 1.1 * MAX_RETRY_SECONDS


def test_waiting_for_a_retry_sends_no_messages(post: Post) -> None:
    post.endpoint("dead")
    post.receiver.answer = lambda _: DEAD
    post.deliver(post.event())
    redrive_events(post.ports)
    assert post.ports.queues.next_visible(Queue.NOTIFY) is None  # type: ignore[attr-defined]


def test_an_event_whose_message_was_lost_is_sent_by_the_sweeper(post: Post) -> None:
    post.endpoint("one")
    post.event()
    post.run(60)
    assert len(post.receiver.deliveries) == 1


def test_an_event_whose_sender_crashed_is_sent_again_and_not_by_two_at_once(post: Post) -> None:
    post.endpoint("one")
    event_id = post.event()

    def crash() -> None:
        post.deliver(event_id)
        raise KeyboardInterrupt

    post.receiver.meanwhile = crash
    with pytest.raises(KeyboardInterrupt):
        post.deliver(event_id)
    assert post.receiver.times("one") == [0]
    post.receiver.meanwhile = lambda: None
    post.deliver(event_id)
    assert post.receiver.times("one") == [0]
    post.run(HOLD_SECONDS)
    assert post.receiver.times("one") == [0, HOLD_SECONDS]
    assert post.stored(event_id) is None


def test_a_sender_that_was_replaced_does_not_bring_an_event_back(post: Post) -> None:
    post.endpoint("one")
    event_id = post.event()
    post.receiver.answer = lambda _: DEAD

    def be_slow() -> None:
        post.receiver.meanwhile = lambda: None
        post.receiver.answer = lambda _: Receipt(200)
        post.clock[0] += HOLD_SECONDS
        post.deliver(event_id)
        post.receiver.answer = lambda _: DEAD

    post.receiver.meanwhile = be_slow
    post.deliver(event_id)
    assert post.stored(event_id) is None


def test_an_endpoint_that_is_deleted_or_no_longer_wants_the_type_gets_no_retries(post: Post) -> None:
    ids = [post.endpoint("deleted"), post.endpoint("uninterested")]
    post.receiver.answer = lambda _: DEAD
    event_id = post.event()
    post.deliver(event_id)
    delete_endpoint(post.ports, "acme", ids[0])
    update_endpoint(post.ports, "acme", ids[1], event_types=[EventType.EXPIRED])
    post.run(180)
    assert len(post.receiver.deliveries) == 2
    assert post.stored(event_id) is None


def test_a_retry_goes_to_the_new_url(post: Post) -> None:
    endpoint_id = post.endpoint("one")
    post.receiver.answer = lambda _: DEAD
    post.deliver(post.event())
    update_endpoint(post.ports, "acme", endpoint_id, url="https://new.test/")
    post.run(180)
    assert [each.endpoint.url for each in post.receiver.deliveries][:2] == [
        "https://one.test/",
        "https://new.test/",
    ]


def test_an_endpoint_created_after_the_first_delivery_does_not_get_the_event(post: Post) -> None:
    post.endpoint("early")
    post.receiver.answer = lambda _: DEAD
    post.deliver(post.event())
    post.endpoint("late")
    post.run(600)
    assert post.receiver.times("late") == []


def test_a_dead_endpoint_rests_and_its_events_wait_without_being_sent(post: Post) -> None:
    post.endpoint("dead")
    post.receiver.answer = lambda _: DEAD
    for number in range(100):
        post.deliver(post.event(number))
    assert len(post.receiver.deliveries) == FAILURES_BEFORE_REST
    assert post.health("dead").rests_until > BEGIN
    post.run(4 * 3_600)
    # A hundred events, and the endpoint was asked a few times.
    assert len(post.receiver.deliveries) < 20


def test_after_a_rest_one_event_probes_and_a_success_wakes_the_endpoint(post: Post) -> None:
    post.endpoint("dead")
    post.receiver.answer = lambda _: DEAD
    for number in range(20):
        post.deliver(post.event(number))
    post.clock[0] = post.health("dead").rests_until
    before = len(post.receiver.deliveries)

    def try_others() -> None:
        post.receiver.meanwhile = lambda: None
        for number in range(100, 105):
            post.deliver(post.event(number))

    post.receiver.answer, post.receiver.meanwhile = lambda _: Receipt(200), try_others
    post.deliver(post.event(99))
    assert len(post.receiver.deliveries) == before + 1
    assert post.health("dead") == Health()
    post.run(4 * 3_600)
    assert {each.event.id for each in post.receiver.deliveries} >= {f"evt_{n:032x}" for n in range(20)}
    assert list(post.ports.webhooks.events.due_events(BEGIN + 10**6, 10)) == []


def test_a_probe_that_fails_makes_the_rest_longer(post: Post) -> None:
    post.endpoint("dead")
    post.receiver.answer = lambda _: DEAD
    for number in range(FAILURES_BEFORE_REST):
        post.deliver(post.event(number))
    rests = []
    for number in range(100, 110):
        rests.append(post.health("dead").rests_until - post.clock[0])
        post.clock[0] = post.health("dead").rests_until
        post.deliver(post.event(number))
    assert rests == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600]


def test_a_probe_that_crashed_is_repeated_by_another_event(post: Post) -> None:
    post.endpoint("dead")
    post.receiver.answer = lambda _: DEAD
    for number in range(FAILURES_BEFORE_REST):
        post.deliver(post.event(number))
    post.clock[0] = post.health("dead").rests_until

    def crash() -> None:
        raise KeyboardInterrupt

    post.receiver.meanwhile = crash
    with pytest.raises(KeyboardInterrupt):
        post.deliver(post.event(50))
    post.receiver.answer, post.receiver.meanwhile = lambda _: Receipt(200), lambda: None
    post.run(4 * 3_600)
    assert post.health("dead") == Health()
    assert post.counts.sums[Metric.WEBHOOKS_DELIVERED] == FAILURES_BEFORE_REST + 1


def test_one_success_resets_the_failures(post: Post) -> None:
    post.endpoint("one")
    for number in range(10 * FAILURES_BEFORE_REST):
        answer = Receipt(200) if number % FAILURES_BEFORE_REST == 0 else DEAD
        post.receiver.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        post.deliver(post.event(number))
    assert len(post.receiver.deliveries) == 10 * FAILURES_BEFORE_REST


def test_a_dead_endpoint_does_not_delay_another(post: Post) -> None:
    post.endpoint("dead")
    post.endpoint("good")
    post.receiver.answer = lambda name: Receipt(200) if name == "good" else DEAD
    for number in range(50):
        post.deliver(post.event(number))
    assert post.receiver.times("good") == [0] * 50


def test_a_rest_is_at_most_an_hour_however_many_failures_there_were() -> None:
    assert worsened(Health(10_000), 0) == Health(10_001, MAX_REST_SECONDS)


def test_an_event_bus_is_one_more_destination_with_retries_of_its_own(post: Post) -> None:
    published: list[str] = []

    def publish(event: Event) -> None:
        published.append(event.id)
        if len(published) == 1:
            raise OSError("throttled")

    post.ports = dataclasses.replace(post.ports, webhooks=replace(post.ports.webhooks, bus=publish))
    post.endpoint("one")
    event_id = post.event()
    post.deliver(event_id)
    post.run(180)
    assert published == [event_id, event_id]
    assert post.receiver.times("one") == [0]
    assert post.stored(event_id) is None
