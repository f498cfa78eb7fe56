"""A complete Nightlane in this process, on moto: the real handlers, one delivery at a time.

Nothing runs by itself: a test delivers messages, moves the clock and reads the table, so that
everything happens in the same order each time.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
from moto import mock_aws

import functions.api.handler as api
import functions.assemble.handler as assemble
import functions.authorize.handler as authorize
import functions.dead_letters.handler as dead_letters
import functions.infer.handler as infer
import functions.notify.handler as notify
import functions.plan.handler as plan
import functions.receive.handler as receive
import functions.sweep.handler as sweep
from infra.home.events import REGION, proxy_event
from infra.resources import QUEUES, functions
from nightlane.aws.clients import Clients
from nightlane.aws.lease import Leases
from nightlane.aws.table.keys import DynamoKeys
from nightlane.domain.batch import Batch, BatchRequest, BatchStatus
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.files import record_file
from nightlane.domain.grouping import MIN_SAVED_BYTES
from nightlane.domain.inference.delivery import Ending
from nightlane.domain.inference.journal import save_results
from nightlane.domain.inference.results import Result
from nightlane.domain.lines import response_line
from nightlane.domain.parts import Record
from nightlane.domain.ports import Ports, UpstreamModels
from nightlane.domain.shard import DoneLines
from nightlane.domain.window import window_seconds
from nightlane.entry import Handler
from nightlane.settings import Settings
from nightlane.wiring import models_of, ports_on_aws
from nightlane.worker_wiring import connections_to
from tests.rig.accesses import recorder_from_environment
from tests.rig.events import scheduled_event, sqs_event
from tests.rig.provision import provision, queue_urls

TENANT = "acme"
ENDPOINT = "/v1/chat/completions"
CURRENT_FUNCTION: ContextVar[str | None] = ContextVar("CURRENT_FUNCTION", default=None)
"""The function whose handler is running."""
ACCESSES = recorder_from_environment()


@contextmanager
def acting_as(function: str | None) -> Iterator[None]:
    """Attribute AWS calls to this function; to none for those of Lambda's poller or of the test."""
    token = CURRENT_FUNCTION.set(function)
    try:
        yield
    finally:
        CURRENT_FUNCTION.reset(token)


@dataclass
class LambdaContext:
    """The context object that a handler gets."""

    function_name: str
    seconds: float = 900
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:test"
    began: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.seconds - (time.monotonic() - self.began)) * 1000)


@dataclass
class World:
    """Handlers, queues and a clock."""

    ports: Ports[Settings]
    models: UpstreamModels
    function_clients: Clients
    clients: Clients
    """Used by the test and by Lambda's poller."""
    clock_offset: list[float]
    """Seconds that the clock is ahead; a list, so that `ports.now` can read it."""
    urls: dict[str, str]
    connect: infer.Connect | None = None
    """Replaces HTTP as the connection from the workers to the upstream."""
    run_loop: Callable[[Coroutine[Any, Any, Ending]], Ending] = asyncio.run
    make_leases: Callable[..., Leases] = Leases
    ports_of: dict[str, Ports[Settings]] = field(default_factory=dict)
    """Ports of single functions that differ from `ports`."""
    context_seconds: float = 900
    deliveries: list[str] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        self.clock_offset[0] += seconds

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Return what a new process of the function returns for an event."""
        with acting_as(function):
            return self.handler(function)(event, LambdaContext(function, self.context_seconds))

    def handler(self, function: str) -> Handler:
        """Build a function's handler, with only the settings that the function declares."""
        (spec,) = (each for each in functions(self.ports.settings) if each.name == function)
        ports: Any = self.ports_of.get(function, self.ports)
        clients = self.function_clients
        own = replace(ports, settings=spec.settings.of(ports.settings))
        match function:
            case "authorize":
                return authorize.make_handler(DynamoKeys(clients.dynamodb, own.settings.table_name))
            case "api":
                return api.make_handler(own, self.models)
            case "receive":
                return receive.make_handler(own)
            case "plan":
                return plan.make_handler(own, self.models, self._leases(own.settings.plan_queue_url))
            case "infer":
                connect = self.connect or connections_to(own.settings, clients, own.now).connect
                leases = self._leases(own.settings.infer_queue_url)
                return infer.make_handler(own, connect, leases, self.run_loop)
            case "assemble":
                return assemble.make_handler(own, self._leases(own.settings.assemble_queue_url))
            case "notify":
                return notify.make_handler(own)
            case "sweep":
                return sweep.make_handler(own)
            case "dead_letters":
                return dead_letters.make_handler(own)
        raise AssertionError(function)

    def _leases(self, queue_url: str) -> Leases:
        seconds = self.ports.settings.worker_lease_seconds
        return self.make_leases(self.function_clients.sqs, queue_url, seconds, self.ports.monotonic)

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: dict[str, str] | None = None,
        tenant: str = TENANT,
        **headers: str,
    ) -> tuple[int, Any]:
        """Call the API as an authorized tenant; return the status and the JSON of the response."""
        response = self.respond(method, path, body, query=query, tenant=tenant, **headers)
        assert response["multiValueHeaders"]["x-request-id"][0].startswith("req_")
        return response["statusCode"], json.loads(response["body"])

    def respond(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: dict[str, str] | None = None,
        tenant: str = TENANT,
        **headers: str,
    ) -> Any:
        """Call the API as an authorized tenant; return the response as API Gateway gets it."""
        header_list = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self.answer(method, path, body, query=query, headers=header_list, context={"tenant": tenant})

    def answer(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: dict[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        context: Mapping[str, str] | None = None,
    ) -> Any:
        """Call the API with this context of the authorizer; return the response as API Gateway gets it."""
        event = proxy_event(
            method, path, list((query or {}).items()), headers, body, {"tenant": TENANT, **(context or {})}
        )
        return self.invoke("api", json.loads(json.dumps(event)))

    def upload(self, data: bytes, tenant: str = TENANT, file_id: str | None = None) -> str:
        file_id = file_id or "file-" + self.ports.new_id()[:24]
        now = self.ports.now()
        file = StoredFile(
            id=file_id,
            tenant=tenant,
            filename="input.jsonl",
            purpose=FilePurpose.BATCH,
            size=len(data),
            created_at=int(now),
            expires_at=int(now) + 2_592_000,
            listed=f"{int(now * 1000):013d}#{file_id}",
        )
        self.ports.blobs.put(file.blob_key, data)
        return record_file(self.ports, file, self.ports.settings.quota).id

    def create(
        self,
        file_id: str,
        batch_id: str | None = None,
        endpoint: str = ENDPOINT,
        tenant: str = TENANT,
        window: str = "24h",
    ) -> str:
        """Create a batch as the API does, without calling it."""
        batch_id = batch_id or "batch_" + self.ports.new_id()
        now = self.ports.now()
        batch = Batch(
            id=batch_id,
            tenant=tenant,
            request=BatchRequest(input_file_id=file_id, endpoint=endpoint, completion_window=window),
            status=BatchStatus.VALIDATING,
            listed=f"{int(now * 1000):013d}#{batch_id}",
            created_at=int(now),
            expires_at=int(now) + window_seconds(self.ports.settings, window),
            quota=self.ports.settings.quota,
        )
        self.ports.batches.create_batch(batch, wake_at=int(now) + self.ports.settings.redrive_seconds)
        self.ports.queues.send_plan(batch_id)
        return batch_id

    def batch(self, batch_id: str) -> Batch:
        batch = self.ports.batches.get_batch(batch_id)
        assert batch is not None
        return batch

    def consumer_of(self, queue: str) -> str:
        """Return the function that consumes a queue."""
        return next(spec.name for spec in functions(self.ports.settings) if queue in spec.queues)

    def complete_shard(self, batch_id: str, index: int) -> None:
        """Complete one shard of a running batch, as a worker would that then ends."""
        store = self.ports.batches
        spec = read_manifest(self.ports, self.batch(batch_id)).shards[index]
        shard = store.begin_shard(store.get_shard(batch_id, index), spec.lane)
        data = response_line("batch_req_1", "done", 200, "request-1", b"{}")
        results = [Result(Record(number, True, data)) for number in range(spec.lines)]
        save_results(self.ports, shard, DoneLines(spec.lines), results, finished=True)

    def receive(self, name: str) -> dict[str, Any] | None:
        """Receive a message from a queue, as Lambda's poller would."""
        with acting_as(None):
            response = self.clients.sqs.receive_message(
                QueueUrl=self.urls[name], MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"]
            )
        messages: Any = response.get("Messages", [])
        return messages[0] if messages else None

    def queue_name(self, name: str) -> str:
        """Return a queue's name in SQS."""
        return self.urls[name].rsplit("/", 1)[1]

    def deliver(self, name: str) -> bool:
        """Deliver one message from a queue to its function; False if there was none."""
        message = self.receive(name)
        if message is None:
            return False
        self.deliveries.append(f"{name} {message['Body']}")
        result = self.invoke(self.consumer_of(name), sqs_event(self.queue_name(name), message))
        if not (result or {}).get("batchItemFailures"):
            url, receipt = self.urls[name], message["ReceiptHandle"]
            with acting_as(None):
                self.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)
        return True

    def run(self, *, limit: int = 200) -> None:
        """Deliver messages until there are none."""
        for _ in range(limit):
            if not any(self.deliver(queue.name) for queue in QUEUES):
                return
        raise AssertionError(f"still busy after {limit} rounds: {self.deliveries[-5:]}")

    def sweep(self) -> None:
        self.invoke("sweep", scheduled_event())

    def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        """Return the lines of a result file; none if there is no file."""
        if file_id is None:
            return []
        file = self.ports.files.get_file(file_id)
        assert file is not None
        data = self.ports.blobs.get(file.blob_key)
        assert len(data) == file.size
        return [json.loads(line) for line in data.splitlines()]

    def waiting_messages(self) -> int:
        """Count the messages in all queues, including dead letters, visible or not."""
        return sum(self.count(url) for url in self.urls.values())

    def count(self, url: str) -> int:
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in attributes.values())


def requests(count: int, **body: Any) -> bytes:
    """Return chat requests as JSONL."""
    return b"".join(
        json.dumps(
            {
                "custom_id": f"request-{number}",
                "method": "POST",
                "url": ENDPOINT,
                "body": {
                    "model": "mock-small",
                    "messages": [{"role": "user", "content": f"Question {number}?"}],
                }
                | body,
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


def with_system_prompts(lines: bytes, prompts: int) -> bytes:
    """Give chat requests different system prompts in turn, which are worth sending one after another."""
    return b"".join(
        line.replace(b'"messages": [', b'"messages": [%b, ' % _system_message(number % prompts))
        for number, line in enumerate(lines.splitlines(keepends=True))
    )


def _system_message(number: int) -> bytes:
    return json.dumps(
        {"role": "system", "content": f"Prompt {number}. ".ljust(MIN_SAVED_BYTES, "x")}
    ).encode()


@contextmanager
def moto_world(settings: Settings) -> Iterator[World]:
    """Start moto, with a new Nightlane that has these settings."""
    with mock_aws():
        yield build_world(settings, new_clients())


def new_clients(session: boto3.Session | None = None) -> Clients:
    """Return clients for moto, independent of the environment."""
    session = session or boto3.Session("testing", "testing", region_name=REGION)
    if ACCESSES is not None:
        ACCESSES.watch(session.events.register, CURRENT_FUNCTION.get)
    return Clients(session)


def build_world(
    settings: Settings,
    clients: Clients,
    clock: Callable[[], float] = time.time,
    plain_clients: Clients | None = None,
    models: UpstreamModels | None = None,
    **ports: Any,
) -> World:
    """Create the resources and a world on them. The handlers use `clients` and `ports`.

    Args:
        plain_clients: used by everything but the handlers, if those have clients that inject faults.
    """
    settings = provision(plain_clients or clients, settings)
    clock_offset = [0.0]
    return World(
        ports=replace(ports_on_aws(settings, clients), now=lambda: clock() + clock_offset[0], **ports),
        models=models or models_of(settings, clients),
        function_clients=clients,
        clients=plain_clients or clients,
        clock_offset=clock_offset,
        urls=queue_urls(settings),
    )
