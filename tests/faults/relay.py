"""Lanes that are handed from worker to worker: all of them on one event loop, so that they really overlap."""

import asyncio
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.home.parts import open_data
from infra.home.queues import Message, Queue
from nightlane.api_settings import MIB
from nightlane.aws.queues import read_lane_message
from nightlane.domain.assembly import assemble_batch
from nightlane.domain.batch import Batch, BatchRequest
from nightlane.domain.batches import create_batch
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.delivery import Delivery, Verdict
from nightlane.domain.inference.ports import Answer
from nightlane.domain.inference.worker import run_lane
from nightlane.domain.planning import plan_batch
from nightlane.domain.quotas import NO_QUOTA
from nightlane.domain.stores import list_key
from nightlane.domain.sweeping import sweep
from nightlane.settings import Settings
from tests.faults.clock import VirtualClock
from tests.faults.faults import Crash
from tests.faults.hostile import HostileUpstream
from tests.store.machine import NoModels
from tests.upstream import only
from tests.world import requests

LIMIT = 6
MEAN_SECONDS, SIGMA = 5.0, 1.0
INVOCATION_SECONDS = 100.0
POLL_SECONDS = 0.5
SETTINGS = Settings(
    upstreams=only("http://127.0.0.1:9/v1"),
    max_concurrent_requests_per_batch=LIMIT,
    requests_in_flight_per_worker=LIMIT,
    shard_max_lines=10,
    checkpoint_seconds=5,
    worker_lease_seconds=20,
    watch_seconds=2,
)
_current: ContextVar["Worker | None"] = ContextVar("worker", default=None)


@dataclass(frozen=True)
class Death:
    """At which step a worker dies: before or after a write, or a read."""

    step: int
    in_handover: bool = False
    """Count the steps from the first write of its drain."""


@dataclass(eq=False)
class Worker:
    """A process that runs one message."""

    number: int
    death: Death | None = None
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)
    handed_over_at: int = 0
    """The number of steps before it first wrote its drain."""
    is_dead: bool = False

    def step(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        """Count a step, and die there if that was chosen."""
        if name == "put_drain" and not self.handed_over_at:
            self.handed_over_at = len(self.steps)
        self.steps.append(name)
        since = len(self.steps) - self.handed_over_at if self.handed_over_at else 0
        if self.death is not None and self.death.step == (
            since if self.death.in_handover else len(self.steps)
        ):
            self.die(loop)
        if self.is_dead:
            raise Crash

    def die(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_dead = True
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in self.tasks])


class Mortal:
    """A store as a worker uses it: before and after each call is a step."""

    def __init__(self, store: Any, worker: Worker, relay: "Relay") -> None:
        self._store = store
        self._worker = worker
        self._relay = relay

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self._worker.step(name, self._relay.loop)
            if name in self._relay.refused:
                raise ConnectionError(name)
            result = method(*arguments, **options)
            self._worker.step(f"after {name}", self._relay.loop)
            return result

        return call


class RelayLease:
    """The lease on a message, renewed when it is looked at."""

    def __init__(self, relay: "Relay", message: Message, worker: Worker) -> None:
        self._relay, self._message, self._worker = relay, message, worker
        self._has_ended = False
        self._valid_until = -math.inf
        self._renew()

    @property
    def is_held(self) -> bool:
        lease = self._relay.settings.worker_lease_seconds
        if not self._has_ended and self._relay.clock.now() > self._valid_until - lease / 2:
            self._renew()
        return self._relay.clock.now() < self._valid_until

    def hand_back(self, delay_seconds: int) -> None:
        self._has_ended, self._valid_until = True, -math.inf
        self._worker.step("hand_back", self._relay.loop)
        self._relay.parts.queues.hide(self._message, delay_seconds)
        self._worker.step("after hand_back", self._relay.loop)
        self._relay.loop.call_soon_threadsafe(self._relay.on_handover)

    def _renew(self) -> None:
        lease = self._relay.settings.worker_lease_seconds
        if not self._worker.is_dead and self._relay.parts.queues.hide(self._message, lease):
            self._valid_until = self._relay.clock.now() + 0.8 * lease


@dataclass
class SlowUpstream(HostileUpstream):
    """Notes how many requests are in flight, and whose they are."""

    senders: Counter[Worker] = field(default_factory=Counter)
    overlaps: int = 0
    """Requests that were sent while another worker had some in flight."""
    _marks: list[tuple[float, int]] = field(default_factory=list)

    async def post(self, path: str, body: bytes) -> Answer:
        worker = _current.get()
        assert worker is not None
        self.senders[worker] += 1
        self.overlaps += any(count for each, count in self.senders.items() if each is not worker)
        self._marks.append((self.clock.now(), 1))
        try:
            return await super().post(path, body)
        finally:
            self.senders[worker] -= 1
            self._marks.append((self.clock.now(), -1))

    def used(self, limit: int) -> float:
        """Return the share of the slots in use from the first request to the last new line's."""
        first, last = self._marks[0][0], max(times[0] for times in self.asked_at.values())
        ends = sorted(self._marks)
        total, in_flight, before = 0.0, 0, first
        for at, change in ends:
            total += in_flight * max(0.0, min(at, last) - before)
            before, in_flight = min(max(at, before), last), in_flight + change
        return total / limit / (last - first)


class Relay:
    """Batches on a data folder, the workers of their lanes, and a queue that hands out one message a lane.

    `plan` says when workers die, by their number.
    """

    def __init__(self, folder: Path, plan: dict[int, Death] | None = None, **settings: Any) -> None:
        self.settings = SETTINGS.model_copy(update=settings)
        self.clock = VirtualClock()
        self.upstream = SlowUpstream(self.clock, self.settings.max_concurrent_requests_per_batch)
        self.upstream.shared_limit = self.settings.upstreams[0].max_concurrent_requests
        self.parts = open_data(folder, self.settings, self.clock.now)
        ids = itertools.count(1)
        self.ports = replace(
            self.parts.ports, monotonic=self.clock.monotonic, new_id=lambda: f"{next(ids):032x}"
        )
        self.plan = plan or {}
        self.workers: list[Worker] = []
        self.max_workers = 100
        self.on_handover: Callable[[], object] = lambda: None
        """Called when a worker has let its message go."""
        self.refused: set[str] = set()
        """Store methods that fail."""
        self.batches: list[str] = []
        self.lines: dict[str, int] = {}
        self.loop: asyncio.AbstractEventLoop

    def create(self, lines: int, seed: int = 1) -> str:
        """Store an input file and plan a batch of it. Latencies are log-normal."""
        file_id, chance = f"file-{seed}", random.Random(seed)
        data = b"".join(
            line.replace(b'"model":', b'"user": "%b/%d", "model":' % (file_id.encode(), number))
            for number, line in enumerate(requests(lines).splitlines(keepends=True))
        )
        self.lines[file_id] = lines
        mu = math.log(MEAN_SECONDS) - SIGMA**2 / 2
        for number in range(lines):
            self.upstream.slow[f"{file_id}/{number}"] = min(60.0, math.exp(chance.gauss(mu, SIGMA)))
        now = self.ports.now()
        file = StoredFile(
            id=file_id,
            tenant="acme",
            purpose=FilePurpose.BATCH,
            filename="input.jsonl",
            size=len(data),
            created_at=int(now),
            expires_at=None,
            listed=list_key(now, file_id),
        )
        self.ports.blobs.put(file.blob_key, data)
        self.ports.files.put_file(file)
        request = BatchRequest(
            input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        batch_id = create_batch(self.ports, "acme", request, None, NO_QUOTA).id
        plan_batch(self.ports, NoModels(), batch_id)
        self.batches.append(batch_id)
        return batch_id

    def batch(self, batch_id: str) -> Batch:
        batch = self.ports.batches.get_batch(batch_id)
        assert batch is not None
        return batch

    def run(self, seconds: float = 3_000) -> None:
        """Run until all batches have ended."""
        self.clock.run(self._run(seconds))
        assert self.upstream.violations == []
        for batch_id in self.batches:
            self._check(self.batch(batch_id))

    def _check(self, batch: Batch) -> None:
        """Every line is answered once, and no drain is left unless its worker died."""
        found = [
            json.loads(line)["custom_id"]
            for file_id in (batch.output_file_id, batch.error_file_id)
            if file_id is not None and (file := self.ports.files.get_file(file_id)) is not None
            for line in self.ports.blobs.get(file.blob_key).splitlines()
        ]
        lines = self.lines[batch.request.input_file_id]
        assert sorted(found) == sorted(f"request-{number}" for number in range(lines))
        if not any(worker.is_dead for worker in self.workers):
            assert list(self.ports.batches.drains(batch.id, 0)) == []

    def close(self) -> None:
        self.parts.database.close()

    async def _run(self, seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_task_factory(_remember_task)
        began, running = self.clock.now(), set[asyncio.Task[None]]()
        for tick in itertools.count(1):
            assert self.clock.now() - began < seconds, "the batches did not end"
            running = {task for task in running if not task.done()}
            while len(running) < self.max_workers and (message := self._receive()) is not None:
                running.add(asyncio.create_task(self._work(message)))
            if self._assemble() and not running:
                return
            if not tick % 120:
                sweep(self.ports)
            await asyncio.sleep(POLL_SECONDS)

    def _receive(self) -> Message | None:
        return self.parts.queues.receive(Queue.INFER, self.settings.worker_lease_seconds)

    def _assemble(self) -> bool:
        while (message := self.parts.queues.receive(Queue.ASSEMBLE, 60)) is not None:
            for batch_id in self.batches:
                if batch_id in message.body:
                    assemble_batch(self.ports, batch_id)
            self.parts.queues.delete(message)
        return all(self.batch(each).status.is_terminal for each in self.batches)

    async def _work(self, message: Message) -> None:
        number = len(self.workers) + 1
        worker = Worker(number, self.plan.get(number))
        self.workers.append(worker)
        _current.set(worker)
        invocation = asyncio.create_task(self._invoke(message, worker))
        done, _ = await asyncio.wait([invocation], timeout=INVOCATION_SECONDS)
        if not done:
            # As Lambda does at the timeout.
            worker.die(self.loop)
            await asyncio.wait([invocation])
        if not invocation.cancelled() and (error := invocation.exception()) is not None:
            assert worker.is_dead, f"worker {worker.number} failed: {error!r}"

    async def _invoke(self, message: Message, worker: Worker) -> None:
        lease = RelayLease(self, message, worker)
        ports = replace(
            self.ports,
            batches=Mortal(self.ports.batches, worker, self),
            upstreams=Mortal(self.ports.upstreams, worker, self),
        )
        deadline = self.clock.monotonic() + INVOCATION_SECONDS
        delivery = Delivery(read_lane_message(message.body), lease, deadline, message.receives)
        ending = await run_lane(ports, self._connect, delivery, ByteBudget(64 * MIB))
        match ending.verdict:
            case Verdict.DONE:
                self.parts.queues.delete(message)
            case Verdict.HAND_BACK:
                lease.hand_back(ending.delay_seconds)

    @asynccontextmanager
    async def _connect(self, _name: str) -> AsyncIterator[HostileUpstream]:
        yield self.upstream


def _remember_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    if (worker := _current.get()) is not None:
        worker.tasks.add(task)
        task.add_done_callback(worker.tasks.discard)
    return task
