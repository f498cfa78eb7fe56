"""A worker is frozen, its lease expires, another takes its place, and then it wakes up."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nightlane.domain.batch import BatchStatus
from tests.faults.lab import Bench, Lab, laboratory
from tests.moto_lock import one_write_at_a_time
from tests.rig.events import sqs_event


@pytest.fixture(autouse=True)
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serialize writes, because two workers write at once here."""
    one_write_at_a_time(monkeypatch)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with laboratory() as shared:
        yield shared


class Freeze:
    """Freezes the first worker at its first request until the second has sent one, or has ended."""

    def __init__(self, lab: Lab, *, second_ends_first: bool) -> None:
        self.lab = lab
        self.second_ends_first = second_ends_first
        self.leases = lab.leases
        self.second_sends = threading.Event()
        self.first_ended = threading.Event()
        self.second = threading.Thread(target=self._second)
        self.event: dict[str, Any] = {}
        lab.upstream.meanwhile = self._meanwhile

    def _second(self) -> None:
        self.lab.world.invoke("infer", self.event)

    async def _meanwhile(self, _key: str) -> None:
        if len(self.leases) == 1 and not self.second.is_alive():
            # The first worker's lease has expired.
            self.leases[0].lost = True
            self.lab.watch.died_at[0] = self.lab.clock.now()
            self.second.start()
            await asyncio.to_thread(self.second_sends.wait, 10)
            if self.second_ends_first:
                await asyncio.to_thread(self.second.join, 10)
        elif len(self.leases) == 2 and not self.second_sends.is_set():
            self.second_sends.set()
            if not self.second_ends_first:
                await asyncio.to_thread(self.first_ended.wait, 10)

    def run(self) -> Any:
        """Run the first worker and return its response."""
        url = self.lab.world.urls["infer"]
        received: Any = self.lab.clients.sqs.receive_message(
            QueueUrl=url, MessageSystemAttributeNames=["All"]
        )
        (message,) = received["Messages"]
        self.event = sqs_event("infer", message)
        answer = self.lab.world.invoke("infer", self.event)
        self.first_ended.set()
        self.second.join(10)
        self.lab.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        self.lab.upstream.meanwhile = None
        return answer


@pytest.mark.parametrize("second_ends_first", [True, False])
def test_a_replaced_worker_writes_nothing_and_sends_nothing(bench: Bench, second_ends_first: bool) -> None:
    bench.faults.arm()
    lab = Lab(bench, requests_in_flight_per_worker=4)
    batch_id = lab.create(lab.upload(3, "one"), "one")
    lab.deliver("plan")
    freeze = Freeze(lab, second_ends_first=second_ends_first)
    answer = freeze.run()
    assert answer["batchItemFailures"] != []
    shard = lab.bare.batches.get_shard(batch_id, 0)
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).status is BatchStatus.COMPLETED
    assert shard.epoch == 2
    assert [part.key.rsplit("/", 1)[1].split("-")[0] for part in shard.parts] == ["00002"]


@pytest.mark.parametrize("ends", ["expired", "cancelled"])
def test_a_worker_that_wakes_after_its_batch_was_closed_writes_nothing(bench: Bench, ends: str) -> None:
    bench.faults.arm()
    lab = Lab(bench, requests_in_flight_per_worker=4)
    batch_id = lab.create(lab.upload(3, "one"), "one")
    lab.deliver("plan")
    frozen = threading.Event()

    def end_the_batch() -> None:
        if ends == "cancelled":
            lab.cancel(batch_id)
        lab.pass_time(3_606)
        lab.sweep()
        for _ in range(3):
            lab.deliver("assemble")

    async def meanwhile(_key: str) -> None:
        if not frozen.is_set():
            frozen.set()
            await asyncio.to_thread(end_the_batch)

    lab.upstream.meanwhile = meanwhile
    lab.deliver("infer")
    assert lab.batch(batch_id).status == ends
    lab.settle()
    lab.check_end()
    assert lab.batch(batch_id).completed == 0
