"""Event sources of the rig behave as those of SQS: lanes, redelivery, partial failures, dead letters."""

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.resources import FunctionSpec
from nightlane.aws.clients import Clients
from nightlane.settings import Settings
from tests.rig.functions import Function
from tests.rig.ledger import FunctionUse
from tests.rig.provision import provision
from tests.rig.sources import EventSource

PROBE = FunctionSpec(
    name="probe", timeout=5, memory=256, reports_failures=True, concurrency=3, package="tests.handlers"
)


class Recorder(Function):
    """Records when each message was processed."""

    def __init__(self) -> None:
        super().__init__(PROBE, dict(os.environ), FunctionUse(256))
        self.spans: list[tuple[str, str, float, float]] = []
        self._change = asyncio.Condition()

    async def ended(self, count: int) -> None:
        """Wait until this many deliveries have ended."""
        async with self._change:
            await self._change.wait_for(lambda: len(self.spans) >= count)

    async def invoke(self, event: Any) -> Any:
        record = event["Records"][0]
        began = time.monotonic()
        try:
            return await super().invoke(event)
        finally:
            lane = record["attributes"].get("MessageGroupId", "")
            self.spans.append((lane, record["body"], began, time.monotonic()))
            async with self._change:
                self._change.notify_all()


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.Session("test", "test", region_name="us-east-1")
    made = Clients(session, f"http://{host}:{port}")
    provision(made, Settings())
    yield made
    server.stop()


def deliver(clients: Clients, queue: str, count: int) -> Recorder:
    """Run an event source until this many deliveries have ended."""

    async def serve() -> Recorder:
        function = Recorder()
        url = clients.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        with ThreadPoolExecutor(4) as threads:
            source = EventSource(function, url, clients.sqs, threads, FunctionUse(0))
            task = asyncio.create_task(source.run())
            async with asyncio.timeout(20):
                await function.ended(count)
                await asyncio.sleep(0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await function.stop()
        return function

    return asyncio.run(serve())


def invisible(clients: Clients, url: str) -> int:
    names: Any = ["ApproximateNumberOfMessagesNotVisible"]
    attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes["ApproximateNumberOfMessagesNotVisible"])


def send(clients: Clients, queue: str, *messages: tuple[str, str]) -> str:
    url = clients.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for number, (lane, body) in enumerate(messages):
        fifo: Any = (
            {"MessageGroupId": lane, "MessageDeduplicationId": f"{time.time_ns()}-{number}"} if lane else {}
        )
        clients.sqs.send_message(QueueUrl=url, MessageBody=body, **fifo)
    return url


def test_messages_of_a_lane_run_one_at_a_time_and_lanes_run_in_parallel(clients: Clients) -> None:
    messages = [(lane, f"sleep 0.{number}") for number in (5, 6, 7) for lane in ("a", "b")]
    url = send(clients, "infer.fifo", *messages)
    spans = deliver(clients, "infer.fifo", 6).spans
    for lane in ("a", "b"):
        own = sorted((began, ended, body) for each, body, began, ended in spans if each == lane)
        assert [body for _, _, body in own] == ["sleep 0.5", "sleep 0.6", "sleep 0.7"]
        assert all(first[1] <= second[0] for first, second in pairwise(own))
    lane_a, lane_b = ([span[2:] for span in spans if span[0] == lane] for lane in ("a", "b"))
    assert any(max(a[0], b[0]) < min(a[1], b[1]) for a in lane_a for b in lane_b)
    attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"


@pytest.mark.parametrize("body", ["die", "raise", "hand-back"])
def test_a_failed_message_stays_in_the_queue_until_its_visibility_timeout_ends(
    clients: Clients, body: str
) -> None:
    url = send(clients, "plan", ("", body))
    before = invisible(clients, url)
    assert [each for _, each, _, _ in deliver(clients, "plan", 1).spans] == [body]
    assert invisible(clients, url) == before + 1


def test_a_message_that_keeps_failing_becomes_a_dead_letter(clients: Clients) -> None:
    url = send(clients, "assemble", ("", "raise"))
    received: Any = None
    for _ in range(10):
        (received,) = clients.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
        time.sleep(0.002)
    assert "Messages" not in clients.sqs.receive_message(QueueUrl=url)
    dead = deliver(clients, "dead", 1)
    assert [body for _, body, _, _ in dead.spans] == [received["Body"]]
