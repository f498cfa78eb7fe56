"""One Nightlane under faults, watched at every write."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

import functions.infer.handler
import nightlane.wiring
from infra.local.events import REGION, scheduled_event, sqs_event
from infra.resources import QUEUES
from nightlane.aws.clients import Clients
from nightlane.aws.table.connection import decode
from nightlane.aws.table.items import batch_from_item, shard_from_item
from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.inference.ports import Answer
from nightlane.domain.shard import DoneLines, Manifest, Shard
from nightlane.settings import Settings
from tests.faults.faults import Crash, Faults
from tests.world import World, found, new_clients, requests, running

START = 1_800_000_000.0
LIMIT = 4
SETTINGS = Settings(
    upstream_url="http://127.0.0.1:9/v1",
    max_concurrent_requests_per_batch=LIMIT,
    requests_in_flight_per_worker=2,
    shard_max_lines=3,
    checkpoint_seconds=1e9,
    redrive_seconds=30,
    stall_seconds=60,
    completion_window_seconds=3_600,
)
EDGES = {
    ("validating", "failed"),
    ("validating", "in_progress"),
    ("validating", "cancelling"),
    ("validating", "expired"),
    ("in_progress", "finalizing"),
    ("in_progress", "cancelling"),
    ("finalizing", "completed"),
    ("finalizing", "expired"),
    ("finalizing", "cancelling"),
    ("cancelling", "cancelled"),
}
TIMES = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
_worlds = itertools.count()


@dataclass
class MemoryUpstream:
    """Answers at once; question 1 is refused for good, question 2 at first."""

    asked: Counter[str] = field(default_factory=Counter)
    committed: set[tuple[str, int]] = field(default_factory=set)
    in_flight: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    meanwhile: Callable[[str], Awaitable[None]] | None = None
    """What happens while a request is in flight."""

    async def post(self, _path: str, body: bytes) -> Answer:
        batch, number = json.loads(body)["user"].split("/")
        key = f"{batch}/{number}"
        if (batch, int(number)) in self.committed:
            self.violations.append(f"{key} was asked again after it was committed")
        self.asked[key] += 1
        self.in_flight[batch] += 1
        if self.in_flight[batch] > LIMIT:
            self.violations.append(f"{self.in_flight[batch]} requests in flight")
        try:
            await (self.meanwhile(key) if self.meanwhile else asyncio.sleep(0))
        finally:
            self.in_flight[batch] -= 1
        if number == "1":
            return _answer(400, {"error": {"message": "no", "type": "x", "param": None, "code": None}})
        if number == "2" and self.asked[key] == 1:
            return replace(_answer(503, {}), retry_after=0.001)
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return _answer(200, {"model": "m-1", "usage": usage})


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), "req_1", None)


class Lab:
    """The system, the faults on it and what was seen of it."""

    def __init__(self, bench: "Bench", patch: pytest.MonkeyPatch, **settings: Any) -> None:
        clients, faults = bench.bare, bench.faults
        number = next(_worlds)
        names = {"table_name": f"table-{number}", "bucket_name": f"bucket-{number}"}
        self.faults = faults
        self.upstream = MemoryUpstream()
        ids = itertools.count()
        for url in clients.sqs.list_queues().get("QueueUrls", []):
            clients.sqs.delete_queue(QueueUrl=url)
        values = SETTINGS.model_copy(update=names | settings)
        self.world: World = found(
            values,
            bench.faulty,
            patch,
            bare=clients,
            clock=lambda: START,
            new_id=lambda: f"{next(ids):032x}",
            models=_NoModels(),
        )
        ports = self.world.ports
        self.bare = replace(
            nightlane.wiring.build(ports.settings, clients), now=ports.now, new_id=ports.new_id
        )
        self.clients = self.world.clients = clients
        self.batches: list[str] = []
        self._seen: dict[str, Batch] = {}
        self._parts: dict[tuple[str, int], tuple[int, int]] = {}
        self._lines: dict[str, int] = {}
        self._manifests: dict[str, Manifest] = {}
        faults.after_write = self.look
        patch.setattr(functions.infer.handler, "http_upstream", self._connect)

    @asynccontextmanager
    async def _connect(self, *_: Any) -> AsyncIterator[MemoryUpstream]:
        yield self.upstream

    def upload(self, lines: int, name: str) -> str:
        """An input file whose requests carry its id and their numbers."""
        file_id = f"file-{name}"
        self._lines[file_id] = lines
        data = b"".join(
            line.replace(b'"model":', b'"user": "%b/%d", "model":' % (file_id.encode(), number))
            for number, line in enumerate(requests(lines).splitlines(keepends=True))
        )
        usual, self.world.ports = self.world.ports, self.bare
        try:
            return self.world.upload(data, file_id=file_id)
        finally:
            self.world.ports = usual

    def create(self, file_id: str, token: str) -> str:
        """Create as a client does: again with the same token until there is an answer."""
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        while True:
            answer = self._attempt(
                lambda: self.world.call("POST", "/batches", json.dumps(body | {"idem_tok": token}).encode())
            )
            if answer is not None and answer[0] == 200:
                batch_id = str(answer[1]["id"])
                if batch_id not in self.batches:
                    self.batches.append(batch_id)
                self.look()
                return batch_id

    def call(self, method: str, path: str) -> Any:
        """A request to the API; None if its process crashed."""
        return self._attempt(lambda: self.world.call(method, path))

    def cancel(self, batch_id: str) -> None:
        self.call("POST", f"/batches/{batch_id}/cancel")

    @running(None)
    def deliver(self, name: str, times: int = 1) -> bool:
        """Take a message through its function; after a crash SQS would hand it out again."""
        url = self.world.urls[name]
        answer: Any = self.clients.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"]
        )
        if not answer.get("Messages"):
            return False
        (message,) = answer["Messages"]
        function = "bury" if name.endswith("-dead") else name
        event = sqs_event(name, message)
        results = [self._attempt(lambda: self.world.invoke(function, event) or {}) for _ in range(times)]
        done = [result for result in results if result is not None and not result.get("batchItemFailures")]
        if done:
            self.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        else:
            self.clients.sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return True

    def sweep(self) -> None:
        self._attempt(lambda: self.world.invoke("sweep", scheduled_event()) or {})

    def _attempt(self, call: Any) -> Any:
        """One invocation in a process of its own; None if it crashed or failed."""
        self.faults.dead = False
        try:
            return call()
        except (Crash, Exception, BaseExceptionGroup):
            return None
        finally:
            self.faults.dead = False
            self.world.pass_time(0.01)

    def look(self) -> None:
        """Watch the edges of the status machine and what is committed."""
        for batch_id in self.batches:
            item = self._items(batch_id).get("BATCH")
            if item is None:
                continue
            batch = batch_from_item(decode(item))
            before = self._seen.get(batch_id)
            if before is not None:
                self._check_step(before, batch)
            self._seen[batch_id] = batch
            self._note_commits(batch)
        admitted = self._items("").get("ADMISSION", {})
        if len(decode(admitted).get("running", ())) > self.bare.settings.max_concurrent_batches:
            self.upstream.violations.append("more batches are admitted than may be")

    def _items(self, batch_id: str) -> dict[str, Any]:
        """What moto holds of a batch, by sort key: a look costs no call."""
        table = dynamodb_backends[ACCOUNT_ID][REGION].tables[self.bare.settings.table_name]
        partition = DynamoType({"S": f"BATCH#{batch_id}" if batch_id else "ADMISSION"})
        items = table.items.get(partition, {})
        return {sort.value: item.to_json()["Attributes"] for sort, item in items.items()}

    def _check_step(self, before: Batch, after: Batch) -> None:
        if before.status != after.status and (before.status.value, after.status.value) not in EDGES:
            self.upstream.violations.append(f"{before.status} became {after.status}")
        for name in TIMES:
            if getattr(before, name) not in (None, getattr(after, name)):
                self.upstream.violations.append(f"{name} changed")
        if before.status.is_terminal and before != after:
            self.upstream.violations.append("a batch changed after its end")

    def _note_commits(self, batch: Batch) -> None:
        if not batch.is_planned or batch.status.is_terminal:
            return
        if batch.id not in self._manifests:
            self._manifests[batch.id] = read_manifest(self.bare, batch)
        manifest = self._manifests[batch.id]
        mark = batch.request.input_file_id
        for sort, item in self._items(batch.id).items():
            if sort == "BATCH":
                continue
            shard = shard_from_item(batch.id, int(sort.split("#")[1]), decode(item))
            spec = manifest.shards[shard.index]
            self._check_fence(batch.id, shard)
            done = DoneLines(spec.lines, shard.done)
            lines = (spec.first_line + line for line in range(spec.lines) if line in done)
            self.upstream.committed |= {(mark, line) for line in lines}

    def _check_fence(self, batch_id: str, shard: Shard) -> None:
        """A part of a worker that was replaced before must never appear."""
        known, epoch = self._parts.get((batch_id, shard.index), (0, 0))
        for part in shard.parts[known:]:
            if int(part.key.rsplit("/", 1)[1].split("-")[0]) < epoch:
                self.upstream.violations.append(f"a replaced worker wrote {part.key}")
        self._parts[batch_id, shard.index] = (len(shard.parts), shard.epoch)

    def settle(self) -> None:
        """Let time and the sweeper do their work until every batch has ended and nothing is left."""
        for _ in range(120):
            busy = self.round()
            ended = all(self.batch(batch_id).status.is_terminal for batch_id in self.batches)
            if not busy:
                if ended:
                    return
                self.world.pass_time(31)
                self.sweep()
        raise AssertionError(f"no end: {[self.batch(each) for each in self.batches]}")

    def round(self, times: int = 1) -> bool:
        """One delivery of every queue; False if all were empty."""
        return max([self.deliver(name, times) for name in self.queue_names()])

    def queue_names(self) -> list[str]:
        return [name for queue in QUEUES for name in (queue.name, queue.dead_letters)]

    def batch(self, batch_id: str) -> Batch:
        batch = self.bare.batches.get_batch(batch_id)
        assert batch is not None
        return batch

    def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        file = self.bare.files.get_file(file_id)
        assert file is not None
        return [json.loads(line) for line in self.bare.blobs.get(file.blob_key).splitlines()]

    def check_end(self, poisoned: int = 0) -> None:
        """Every line once, counts as the files, nothing left behind."""
        self.look()
        assert self.upstream.violations == []
        for batch_id in self.batches:
            self._check_batch(self.batch(batch_id), poisoned)
        assert self.bare.batches.admitted_batches() == frozenset()
        assert list(self.bare.batches.waiting_batches()) == []
        left = [name for name in self.queue_names() if self.world.count(self.world.urls[name])]
        assert left == []

    def _check_batch(self, batch: Batch, poisoned: int) -> None:
        lines = self._lines[batch.request.input_file_id]
        assert batch.status.is_terminal
        output, errors = self.lines(batch.output_file_id), self.lines(batch.error_file_id)
        if batch.status is BatchStatus.FAILED or batch.total == 0:
            assert (output, errors) == ([], [])
            return
        names = Counter(line["custom_id"] for line in output + errors)
        assert names == Counter({f"request-{number}": 1 for number in range(lines)})
        assert len(output) == batch.completed
        assert len([line for line in errors if line["response"] or _is_poison(line)]) == batch.failed
        assert batch.usage.total_tokens == 2 * batch.completed
        assert (batch.output_file_id is None) == (not output)
        if batch.status is BatchStatus.COMPLETED:
            failed = poisoned + (1 if lines > 1 else 0)
            assert (batch.completed, batch.failed) == (lines - failed, failed)


def _is_poison(line: dict[str, Any]) -> bool:
    return bool(line["error"]["code"] == "server_error")


class _NoModels:
    """An upstream that cannot list its models."""

    def model_ids(self) -> None:
        return None

    list_models = retrieve_model = model_ids


@dataclass(frozen=True)
class Bench:
    """moto, with clients under faults and clients without; making clients takes longer than a run."""

    faults: Faults
    faulty: Clients
    bare: Clients


@contextmanager
def laboratory() -> Iterator[Bench]:
    """A moto of one's own."""
    with mock_aws():
        faults = Faults(bare=new_clients())
        yield Bench(faults, new_clients(faults.session()), new_clients())
