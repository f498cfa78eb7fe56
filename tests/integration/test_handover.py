"""A worker that is out of time lets its message go before its last requests have been answered."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nightlane.domain.batch import BatchStatus
from tests.upstream import Upstream
from tests.world import World, requests

LINES = 24


def receive_soon(nightlane: World) -> dict[str, Any]:
    """Receive the lane's message as soon as it is visible."""
    for _ in range(200):
        if (message := nightlane.receive("infer")) is not None:
            return message
        time.sleep(0.02)
    raise AssertionError("the message was not let go")


def test_a_message_is_visible_while_the_last_requests_of_its_worker_are_in_flight(
    nightlane: World, upstream: Upstream
) -> None:
    nightlane.ports.settings.__dict__.update(
        max_concurrent_requests_per_batch=4, requests_in_flight_per_worker=4, shard_max_lines=4
    )
    batch_id = nightlane.create(nightlane.upload(requests(LINES)))
    nightlane.deliver("plan")
    # As long as nothing has been answered, nothing is started in the last minute.
    nightlane.context_seconds, upstream.delay_seconds = 30, 3
    with ThreadPoolExecutor() as threads:
        worker = threads.submit(nightlane.deliver, "infer")
        time.sleep(0.1)
        message = receive_soon(nightlane)
        (drain,) = nightlane.ports.batches.drains(batch_id, 0)
        assert drain.in_flight == upstream.in_flight == 4
        worker.result()
    assert list(nightlane.ports.batches.drains(batch_id, 0)) == []
    assert nightlane.batch(batch_id).completed == 4
    nightlane.clients.sqs.change_message_visibility(
        QueueUrl=nightlane.urls["infer"], ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    nightlane.context_seconds, upstream.delay_seconds = 900, 0
    nightlane.run()
    batch = nightlane.batch(batch_id)
    assert (batch.status, batch.completed) == (BatchStatus.COMPLETED, LINES)
    assert set(upstream.asked.values()) == {1}
