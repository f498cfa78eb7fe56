"""The home's queues give receivers the same guarantees as SQS."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from infra.home.database import Database
from infra.home.queues import Message, Queue, SqliteQueues
from nightlane.aws.queues import read_batch_message, read_lane_message
from nightlane.domain.shard import LaneMessage


class Clock:
    now = 1_800_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[SqliteQueues]:
    with closing(Database(tmp_path / "nightlane.db")) as database:
        yield SqliteQueues(database, lambda: clock.now)


def received(queue: SqliteQueues, name: Queue = Queue.INFER) -> Message:
    message = queue.receive(name, 30)
    assert message is not None
    return message


def lane_of(message: Message) -> tuple[str, int]:
    lane = read_lane_message(message.body)
    return lane.batch_id, lane.lane


def test_messages_are_delivered_in_order_and_not_again_once_deleted(queue: SqliteQueues) -> None:
    for number in range(3):
        queue.send_plan(f"batch_{number}")
    queue.send_assemble("batch_9")
    messages = [received(queue, Queue.PLAN) for _ in range(3)]
    assert [read_batch_message(each.body) for each in messages] == ["batch_0", "batch_1", "batch_2"]
    assert queue.receive(Queue.PLAN, 30) is None
    assert all(queue.delete(each) for each in messages)
    assert queue.next_visible(Queue.PLAN) is None
    assert read_batch_message(received(queue, Queue.ASSEMBLE).body) == "batch_9"


def test_a_message_that_is_not_deleted_is_redelivered_and_its_first_receiver_is_fenced_off(
    queue: SqliteQueues, clock: Clock
) -> None:
    queue.send_plan("batch_1")
    first = received(queue, Queue.PLAN)
    clock.now += 29
    assert queue.hide(first, 30)
    clock.now += 29
    assert queue.receive(Queue.PLAN, 30) is None
    clock.now += 1
    second = received(queue, Queue.PLAN)
    assert (second.id, first.receives, second.receives) == (first.id, 1, 2)
    assert not queue.hide(first, 0)
    assert not queue.delete(first)
    assert queue.hide(second, 0)
    assert received(queue, Queue.PLAN).receives == 3


def test_one_message_per_lane_is_in_flight_and_other_lanes_continue(
    queue: SqliteQueues, clock: Clock
) -> None:
    lanes = [LaneMessage("batch_1", 0), LaneMessage("batch_1", 1)]
    queue.send_lanes(lanes, 1)
    queue.send_lanes([*lanes, LaneMessage("batch_2", 0)], 2)
    in_flight = [received(queue) for _ in range(3)]
    assert [lane_of(each) for each in in_flight] == [("batch_1", 0), ("batch_1", 1), ("batch_2", 0)]
    assert queue.receive(Queue.INFER, 30) is None
    # A hidden message keeps its place, so its lane waits.
    assert queue.hide(in_flight[0], 600)
    assert queue.delete(in_flight[1])
    assert lane_of(received(queue)) == ("batch_1", 1)
    assert queue.receive(Queue.INFER, 30) is None
    clock.now += 601
    assert received(queue).id == in_flight[0].id


def test_racing_receivers_get_each_message_once(queue: SqliteQueues) -> None:
    for number in range(40):
        queue.send_plan(f"batch_{number}")
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: received(queue, Queue.PLAN).id, range(40)))
    assert sorted(got) == sorted(set(got))
    assert queue.receive(Queue.PLAN, 30) is None


def test_messages_survive_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "nightlane.db"
    with closing(Database(path)) as database:
        SqliteQueues(database, lambda: clock.now).send_lanes([LaneMessage("batch_1", 7)], 1)
    with closing(Database(path)) as database:
        assert lane_of(received(SqliteQueues(database, lambda: clock.now))) == ("batch_1", 7)


def test_a_sole_receiver_need_not_wait_for_the_leases_of_killed_receivers(queue: SqliteQueues) -> None:
    queue.send_lanes([LaneMessage("batch_1", 0)] * 2, 1)
    queue.send_plan("batch_1")
    lost = received(queue)
    received(queue, Queue.PLAN)
    assert queue.receive(Queue.INFER, 30) is None
    queue.release(Queue.INFER)
    again = received(queue)
    assert (again.id, again.receives) == (lost.id, 2)
    assert not queue.delete(lost)
    assert queue.receive(Queue.PLAN, 30) is None


def test_starting_over_resets_the_receive_count(queue: SqliteQueues, clock: Clock) -> None:
    queue.send_plan("batch_1")
    first = received(queue, Queue.PLAN)
    clock.now += 31
    second = received(queue, Queue.PLAN)
    queue.start_over(first, 10)
    assert queue.receive(Queue.PLAN, 30) is None
    queue.start_over(second, 10)
    assert queue.receive(Queue.PLAN, 30) is None
    clock.now += 11
    again = received(queue, Queue.PLAN)
    assert (again.body, again.receives) == (first.body, 1)
    # Its earlier receivers cannot delete it.
    assert not queue.delete(first)
    assert not queue.delete(second)
    assert queue.delete(again)
