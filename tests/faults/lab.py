"""One Nightlane under faults, on a clock that the test controls, with a hostile upstream."""

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.sqs.models import sqs_backends
from msgspec.structs import replace

from infra.home.events import REGION
from infra.resources import DEAD_LETTER_QUEUES, QUEUES
from nightlane.aws.clients import Clients
from nightlane.aws.lease import Leases
from nightlane.domain.batch import Batch
from nightlane.domain.inference.budget import ByteBudget
from nightlane.settings import Settings
from nightlane.wiring import ports_on_aws
from tests.faults.clock import TestLease, VirtualClock
from tests.faults.faults import Crash, Faults
from tests.faults.hostile import HostileUpstream
from tests.faults.inbox import Inbox, create_missing_endpoints
from tests.faults.quotas import GENEROUS, check_counters
from tests.faults.stored import OnMoto
from tests.faults.watch import Watch
from tests.rig.events import scheduled_event, sqs_event
from tests.rig.moto import limit_memory, repair_multipart_uploads
from tests.upstream import only
from tests.world import TENANT, World, acting_as, build_world, new_clients, requests, with_system_prompts

LIMIT = 4
SETTINGS = Settings(
    upstreams=only("http://127.0.0.1:9/v1"),
    max_concurrent_requests_per_batch=LIMIT,
    requests_in_flight_per_worker=2,
    shard_max_lines=3,
    redrive_seconds=30,
    stall_seconds=60,
    completion_window_seconds=3_600,
    **GENEROUS,
)
LONG = 43_200
PARAMETERS = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
_worlds = itertools.count()


def marked_requests(lines: int, mark: str) -> bytes:
    """Return requests that contain a mark and their numbers."""
    return b"".join(
        line.replace(b'"model":', b'"user": "%b/%d", "model":' % (mark.encode(), number))
        for number, line in enumerate(requests(lines).splitlines(keepends=True))
    )


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a function holds, or that is invisible until later."""

    queue: str
    receipt: str
    visible_at: float


class Lab:
    """The system, its faults, and the record of what happened."""

    def __init__(self, bench: "Bench", **settings: Any) -> None:
        clients, faults = bench.bare, bench.faults
        number = next(_worlds)
        names = {"table_name": f"table-{number}", "bucket_name": f"bucket-{number}"}
        self.faults = faults
        self.clock = VirtualClock()
        self.upstream = HostileUpstream(self.clock, LIMIT)
        for url in clients.sqs.list_queues().get("QueueUrls", []):
            clients.sqs.delete_queue(QueueUrl=url)
        ids = itertools.count()
        self.world: World = build_world(
            SETTINGS.model_copy(update=names | settings),
            bench.faulty,
            plain_clients=clients,
            clock=self.clock.now,
            monotonic=self.clock.monotonic,
            new_id=lambda: f"{next(ids):032x}",
            models=_NoModels(),
        )
        self.world.connect, self.world.run_loop = self._connect, self.clock.run
        self.world.make_leases = partial(LabLeases, lab=self)
        ports = self.world.ports
        self.bare = dataclasses.replace(
            ports_on_aws(ports.settings, clients),
            now=ports.now,
            monotonic=ports.monotonic,
            new_id=ports.new_id,
        )
        self.inbox = Inbox(lambda batch_id: self.watch.stored.batch(batch_id), self.upstream.violations)
        self.world.ports = dataclasses.replace(ports, webhooks=replace(ports.webhooks, send=self.inbox))
        create_missing_endpoints(self.bare.webhooks.endpoints)
        self.clients = clients
        self.upstream.shared_limit = ports.settings.upstreams[0].max_concurrent_requests
        self.watch = Watch(self.bare, self.upstream, OnMoto(self.bare.settings.table_name))
        self.batches = self.watch.batches
        self.received: Counter[str] = Counter()
        """Messages that were handed to a function, by queue."""
        self._workers = itertools.count(1)
        self.leases: list[TestLease] = []
        """Of the invocations that run."""
        self._held: list[Message] = []
        self._resting: list[Message] = []
        faults.after_write, faults.meanwhile = acting_as(None)(self.watch.look), self._freeze

    @asynccontextmanager
    async def _connect(self, _name: str, _budget: ByteBudget) -> AsyncIterator[HostileUpstream]:
        yield self.upstream

    def upload(self, lines: int, name: str, prompts: int = 0) -> str:
        """Store an input file whose requests contain its id and their numbers, and a system prompt if any."""
        file_id = f"file-{name}"
        self.watch.lines[file_id] = lines
        data = marked_requests(lines, file_id)
        data = with_system_prompts(data, prompts) if prompts else data
        usual, self.world.ports = self.world.ports, self.bare
        try:
            return self.world.upload(data, file_id=file_id)
        finally:
            self.world.ports = usual

    def create(self, file_id: str, token: str) -> str:
        """Create a batch as a client does: retry with the same token until there is a response."""
        batch_id = self._create("/batches", {"input_file_id": file_id} | PARAMETERS, token)
        self.watch.look()
        return batch_id

    def create_inline(self, lines: int, token: str) -> str:
        """Create a batch of requests that are in the body, in the same way."""
        requests = [json.loads(line) for line in marked_requests(lines, token).splitlines()]
        batch_id = self._create("/batches", {"requests": requests} | PARAMETERS, token)
        self.watch.lines[self.batch(batch_id).request.input_file_id] = lines
        return batch_id

    def retry(self, batch_id: str, token: str) -> str:
        """Retry the lines of a batch that failed, in the same way."""
        # They may be asked again.
        self.upstream.answered.clear()
        self.upstream.committed.clear()
        return self._create(f"/batches/{batch_id}/retry", {}, token)

    def _create(self, path: str, body: dict[str, Any], token: str) -> str:
        data = json.dumps(body | {"idem_tok": token}).encode()
        while True:
            answer = self._attempt(lambda: self.world.call("POST", path, data))
            if answer is not None and answer[0] == 200:
                batch_id = str(answer[1]["id"])
                if batch_id not in self.batches:
                    self.batches.append(batch_id)
                return batch_id
            assert answer is None or answer[0] >= 500, answer

    def call(self, method: str, path: str) -> Any:
        """Send a request to the API; returns None if its process crashed."""
        return self._attempt(lambda: self.world.call(method, path))

    def cancel(self, batch_id: str) -> None:
        self.call("POST", f"/batches/{batch_id}/cancel")

    def pass_time(self, seconds: float) -> None:
        self.clock.pass_time(seconds)

    @acting_as(None)
    def deliver(self, name: str, times: int = 1) -> bool:
        """Deliver a message to its function; an unfinished one becomes visible again after its delay."""
        self._end_rests()
        url = self.world.urls[name]
        if self._is_empty(url):
            return False
        received: Any = self.clients.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"]
        )
        if not received.get("Messages"):
            return False
        (message,) = received["Messages"]
        self.received[name] += 1
        function = self.world.consumer_of(name)
        held = Message(name, message["ReceiptHandle"], 0)
        self._held.append(held)
        event = sqs_event(self.world.queue_name(name), message)
        ends = [self._invoke(function, event) for _ in range(times)]
        self._held.remove(held)
        # Before the next function may delete what this one has committed.
        self.watch.look()
        if any(done for done, _ in ends):
            self.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=held.receipt)
        else:
            self._make_visible_later(held, min(delay for _, delay in ends))
        return True

    def _is_empty(self, url: str) -> bool:
        """Read the queue from moto directly, so that no AWS call is counted."""
        queue = sqs_backends[ACCOUNT_ID][REGION].queues[url.rsplit("/", 1)[1]]
        return not queue._messages

    def _invoke(self, function: str, event: Any) -> tuple[bool, float]:
        """Return whether the message is done, and if not, after how many seconds it is visible again."""
        leases, worker = len(self.leases), next(self._workers)
        before, self.upstream.worker = self.upstream.worker, worker
        result = self._attempt(lambda: self.world.invoke(function, event) or {})
        self.upstream.worker = before
        if result is None:
            self.watch.died_at.setdefault(worker, self.clock.now())
        taken = self.leases[leases:]
        del self.leases[leases:]
        done = result is not None and not result.get("batchItemFailures")
        return done, taken[-1].delay_seconds if taken and result is not None else 0

    def _make_visible_later(self, message: Message, delay: float) -> None:
        """Track visibility here, because moto's clock is not under the test's control."""
        self._change_visibility(message, LONG if delay else 0)
        if delay:
            self._resting.append(dataclasses.replace(message, visible_at=self.clock.now() + delay))

    def _end_rests(self) -> None:
        due = [each for each in self._resting if each.visible_at <= self.clock.now()]
        self._resting = [each for each in self._resting if each not in due]
        for each in due:
            self._change_visibility(each, 0)

    def _change_visibility(self, message: Message, seconds: int) -> None:
        with suppress(ClientError):
            self.clients.sqs.change_message_visibility(
                QueueUrl=self.world.urls[message.queue],
                ReceiptHandle=message.receipt,
                VisibilityTimeout=seconds,
            )

    @acting_as(None)
    def _freeze(self) -> None:
        """Freeze everything that is running until its leases have expired and others have done its work."""
        for lease in self.leases:
            lease.lost = True
        self.watch.died_at.setdefault(self.upstream.worker, self.clock.now())
        for message in self._held:
            self._change_visibility(message, 0)
        self.clock.freeze()
        leases, self.leases = self.leases, []
        held, self._held = self._held, []
        try:
            self.pass_time(self.bare.settings.worker_lease_seconds)
            self.sweep()
            # First, because an event that was written too early is wrong only until others end the batch.
            self.deliver("notify")
            for _ in range(3):
                self.round()
        finally:
            self.leases, self._held = leases, held
            self.clock.thaw()

    def sweep(self) -> None:
        self._attempt(lambda: self.world.invoke("sweep", scheduled_event()) or {})

    def _attempt(self, call: Any) -> Any:
        """Run one invocation in a process of its own; returns None if it crashed or failed."""
        self.faults.dead = False
        try:
            return call()
        except (Crash, Exception, BaseExceptionGroup):
            return None
        finally:
            self.faults.dead = False
            self.pass_time(0.01)

    def settle(self, rounds: int = 150, step: float = 31) -> None:
        """Pass time and run the sweeper until every batch has ended and no message is left."""
        for _ in range(rounds):
            busy = self.round()
            ended = all(self.batch(batch_id).status.is_terminal for batch_id in self.batches)
            if not busy:
                if ended and not self.watch.stored.events():
                    return
                self.pass_time(step)
                self.sweep()
        raise AssertionError(f"not settled: {[self.batch(each) for each in self.batches]}")

    def round(self, times: int = 1) -> bool:
        """Deliver one message of every queue; returns False if all were empty."""
        return max([self.deliver(name, times) for name in self.queue_names()])

    def queue_names(self) -> list[str]:
        return [*(queue.name for queue in QUEUES), *DEAD_LETTER_QUEUES]

    def batch(self, batch_id: str) -> Batch:
        batch = self.bare.batches.get_batch(batch_id)
        assert batch is not None
        return batch

    def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        return self.watch.read(file_id)

    def check_end(self, poisoned: int = 0) -> None:
        """Check that every line is answered once, counts match the files, and nothing is left behind."""
        self.watch.look()
        assert self.upstream.violations == []
        for batch_id in self.batches:
            self.watch.check_batch(self.batch(batch_id), poisoned)
            self.inbox.check_end(self.batch(batch_id))
        assert self.bare.batches.slots().running == {}
        assert list(self.bare.batches.waiting_batches()) == []
        left = [name for name in self.queue_names() if self.world.count(self.world.urls[name])]
        assert left == []
        check_counters(self.bare, TENANT, [self.batch(batch_id) for batch_id in self.batches])


@dataclass(frozen=True)
class LabLeases(Leases):
    """Leases that the lab can take away."""

    lab: Lab = field(kw_only=True)

    def on(self, record: Mapping[str, Any]) -> TestLease:
        lease = TestLease(self.extending(record), self.seconds, self.monotonic)
        self.lab.leases.append(lease)
        return lease


class _NoModels:
    """An upstream that does not say which models it has."""

    def is_missing(self, _model: str) -> bool:
        return False

    def list_models(self) -> dict[str, Any]:
        raise NotImplementedError

    def retrieve_model(self, model: str) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Bench:
    """moto with faulty and bare clients, made once because creating clients takes longer than a run."""

    faults: Faults
    faulty: Clients
    bare: Clients


@contextmanager
def laboratory() -> Iterator[Bench]:
    """Start a separate moto."""
    limit_memory()
    repair_multipart_uploads()
    with mock_aws():
        faults = Faults(bare=new_clients())
        yield Bench(faults, new_clients(faults.session()), new_clients())
