"""A whole Nightlane in this process, on moto: the real handlers, one delivery at a time.

Nothing runs by itself. A test delivers messages, moves the clock and looks at the table,
so that the order of everything is the test's, and the same each time.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
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
import functions.plan.handler as plan
import functions.sweep.handler as sweep
from infra.home.events import REGION, proxy_event
from infra.resources import QUEUES, functions
from nightlane.aws.clients import Clients
from nightlane.aws.lease import Leases
from nightlane.aws.secrets import UpstreamKey
from nightlane.aws.table import DynamoKeys
from nightlane.domain.batch import Batch, BatchRequest, BatchStatus
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.inference.worker import Ending
from nightlane.domain.ports import Ports, UpstreamModels
from nightlane.entry import Handler
from nightlane.settings import Settings
from nightlane.upstream.http import http_upstream
from nightlane.wiring import models_on_aws, ports_on_aws
from tests.rig.accesses import recorder_from_environment
from tests.rig.events import scheduled_event, sqs_event
from tests.rig.provision import provision, queue_urls

TENANT = "acme"
ENDPOINT = "/v1/chat/completions"
RUNNING: ContextVar[str | None] = ContextVar("RUNNING", default=None)
"""The function whose handler runs."""
ACCESSES = recorder_from_environment()


@contextmanager
def running(function: str | None) -> Iterator[None]:
    """What asks of IAM within is this function; none, where it is Lambda's poller or the test."""
    before = RUNNING.set(function)
    try:
        yield
    finally:
        RUNNING.reset(before)


@dataclass
class LambdaContext:
    """What a handler sees of its invocation."""

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
    """Handlers, queues, clock."""

    ports: Ports[Settings]
    models: UpstreamModels
    function_clients: Clients
    clients: Clients
    """The test's own, and those of Lambda's poller."""
    jump: list[float]
    """Seconds the clock is ahead; a list, for `ports.now` reads it."""
    urls: dict[str, str]
    connect: infer.Connect | None = None
    """Replaces HTTP as the workers' connection to the upstream."""
    run_loop: Callable[[Coroutine[Any, Any, Ending]], Ending] = asyncio.run
    make_leases: Callable[..., Leases] = Leases
    ports_of: dict[str, Ports[Settings]] = field(default_factory=dict)
    """Ports of single functions that differ from `ports`."""
    context_seconds: float = 900
    deliveries: list[str] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        self.jump[0] += seconds

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """What a new process of the function returns for an event."""
        with running(function):
            return self.handler(function)(event, LambdaContext(function, self.context_seconds))

    def handler(self, function: str) -> Handler:
        """A function's handler, with only the settings that the function declares."""
        (spec,) = (each for each in functions(self.ports.settings) if each.name == function)
        ports: Any = self.ports_of.get(function, self.ports)
        clients = self.function_clients
        own = replace(ports, settings=spec.settings.of(ports.settings))
        match function:
            case "authorize":
                return authorize.make_handler(DynamoKeys(clients.dynamodb, own.settings.table_name))
            case "api":
                return api.make_handler(own, self.models)
            case "plan":
                return plan.make_handler(own, self.models, self._leases(own.settings.plan_queue_url))
            case "infer":
                key = UpstreamKey(own.settings, clients)
                connect = self.connect or (lambda budget: http_upstream(own.settings, key, budget, own.now))
                leases = self._leases(own.settings.infer_queue_url)
                return infer.make_handler(own, connect, leases, self.run_loop)
            case "assemble":
                return assemble.make_handler(own, self._leases(own.settings.assemble_queue_url))
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
        """A request to the API, past the authorizer: the status and the JSON of the answer."""
        given = [(name.replace("_", "-"), value) for name, value in headers.items()]
        authorizer = {"principalId": tenant, "tenant": tenant}
        event = proxy_event(method, path, list((query or {}).items()), given, body, authorizer)
        answer = self.invoke("api", json.loads(json.dumps(event)))
        assert answer["multiValueHeaders"]["x-request-id"][0].startswith("req_")
        return answer["statusCode"], json.loads(answer["body"])

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
        self.ports.files.put_file(file)
        return file_id

    def create(self, file_id: str, batch_id: str | None = None, endpoint: str = ENDPOINT) -> str:
        """A batch as the API makes it, without the API."""
        batch_id = batch_id or "batch_" + self.ports.new_id()
        now = self.ports.now()
        batch = Batch(
            id=batch_id,
            tenant=TENANT,
            request=BatchRequest(input_file_id=file_id, endpoint=endpoint, completion_window="24h"),
            status=BatchStatus.VALIDATING,
            listed=f"{int(now * 1000):013d}#{batch_id}",
            created_at=int(now),
            expires_at=int(now) + self.ports.settings.completion_window_seconds,
        )
        self.ports.batches.create_batch(batch, wake_at=int(now) + self.ports.settings.redrive_seconds)
        self.ports.queues.send_plan(batch_id)
        return batch_id

    def batch(self, batch_id: str) -> Batch:
        batch = self.ports.batches.get_batch(batch_id)
        assert batch is not None
        return batch

    def consumer_of(self, queue: str) -> str:
        """The function that a queue feeds."""
        return next(spec.name for spec in functions(self.ports.settings) if queue in spec.queues)

    def receive(self, name: str) -> dict[str, Any] | None:
        """One message of a queue, as Lambda's poller would take it."""
        with running(None):
            answer = self.clients.sqs.receive_message(
                QueueUrl=self.urls[name], MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"]
            )
        messages: Any = answer.get("Messages", [])
        return messages[0] if messages else None

    def queue_name(self, name: str) -> str:
        """What SQS calls a queue."""
        return self.urls[name].rsplit("/", 1)[1]

    def deliver(self, name: str) -> bool:
        """Take one message of a queue through its function; False if there was none."""
        message = self.receive(name)
        if message is None:
            return False
        self.deliveries.append(f"{name} {message['Body']}")
        answer = self.invoke(self.consumer_of(name), sqs_event(self.queue_name(name), message))
        if not (answer or {}).get("batchItemFailures"):
            where, receipt = self.urls[name], message["ReceiptHandle"]
            with running(None):
                self.clients.sqs.delete_message(QueueUrl=where, ReceiptHandle=receipt)
        return True

    def run(self, *, limit: int = 200) -> None:
        """Deliver until nothing is left to deliver."""
        for _ in range(limit):
            if not any(self.deliver(queue.name) for queue in QUEUES):
                return
        raise AssertionError(f"still busy after {limit} rounds: {self.deliveries[-5:]}")

    def sweep(self) -> None:
        self.invoke("sweep", scheduled_event())

    def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        """The lines of a result file; none for no file."""
        if file_id is None:
            return []
        file = self.ports.files.get_file(file_id)
        assert file is not None
        data = self.ports.blobs.get(file.blob_key)
        assert len(data) == file.size
        return [json.loads(line) for line in data.splitlines()]

    def waiting_messages(self) -> int:
        """Messages in all queues, dead letters included, visible or not."""
        return sum(self.count(url) for url in self.urls.values())

    def count(self, url: str) -> int:
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in attributes.values())


def requests(count: int, **body: Any) -> bytes:
    """That many chat requests as JSONL."""
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


@contextmanager
def world(settings: Settings) -> Iterator[World]:
    """A new Nightlane with these settings."""
    with mock_aws():
        yield found(settings, new_clients())


def new_clients(session: boto3.Session | None = None) -> Clients:
    """Clients for moto, whatever the environment holds."""
    session = session or boto3.Session("testing", "testing", region_name=REGION)
    if ACCESSES is not None:
        ACCESSES.watch(session, RUNNING.get)
    return Clients(session)


def found(
    settings: Settings,
    clients: Clients,
    clock: Callable[[], float] = time.time,
    bare: Clients | None = None,
    models: UpstreamModels | None = None,
    **ports: Any,
) -> World:
    """Make the resources, by `bare` clients if given; let the handlers use `clients` and `ports`."""
    settings = provision(bare or clients, settings)
    jump = [0.0]
    return World(
        ports=replace(ports_on_aws(settings, clients), now=lambda: clock() + jump[0], **ports),
        models=models or models_on_aws(settings, clients),
        function_clients=clients,
        clients=bare or clients,
        jump=jump,
        urls=queue_urls(settings),
    )
