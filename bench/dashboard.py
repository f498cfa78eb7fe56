"""The deployed dashboard, with what a run on this machine measured."""

import os
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

from bench.batches import KEY, input_file, rig
from bench.result import Result
from bench.widgets import Source, chart_of, source, widgets_of
from infra.cli.mock.process import MockUpstream
from infra.deploy import camel_case
from infra.prices import DYNAMODB_READ_UNIT, DYNAMODB_WRITE_UNIT, WRITES, call_price
from nightlane.aws.clients import Clients
from tests.rig.ledger import FunctionUse
from tests.rig.provision import queue_urls
from tests.rig.rig import Rig

SERVICE = "Nightlane"
# How the template calls its things.
LAMBDA, QUEUE, TABLE = "Functions{}Function", "Queues{}", "StorageTable"
MINUTE_SECONDS = 3
MOST_SECONDS = 165
MODEL = {"latency_mean": 0.25, "latency_sigma": 1.0, "rate_limit": 36, "error_rate": 0.02}
SETTINGS: dict[str, Any] = {
    "max_concurrent_batches": 2,
    "max_concurrent_requests_per_batch": 20,
    "requests_in_flight_per_worker": 10,
    "shard_max_lines": 150,
    "completion_window_seconds": 75,
}
CAPTION = (
    "Ten batches, two at once: one is broken, one cancelled, one too large for its window, and the endpoint "
    "is away for ten seconds.\n"
    f"The deployed widgets over this run on one machine, by minutes that last {MINUTE_SECONDS} s here: "
    "sums, and so dollars, are of so many seconds. A faint label has no data.\n"
    "Nightlane's own metrics are as its functions wrote them. Of AWS's, what the run counted: invocations, "
    "answers to the client, calls of the table, lengths of queues (ages are estimates from these)."
)
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


class Recorder:
    """The samples of a run, from its making on: AWS's own metrics as far as the run knows them."""

    def __init__(self, rig: Rig) -> None:
        self.samples: dict[Source, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._rig, self._start = rig, time.time()
        self._totals: dict[Source, float] = defaultdict(float)
        self._sent: dict[str, deque[float]] = defaultdict(deque)

    def answered(self, status: int) -> None:
        """The API answered a client."""
        kinds = {"Count": True, "4XXError": status // 100 == 4, "5XXError": status >= 500}
        for name, counts in kinds.items():
            self._add(source("AWS/ApiGateway", name, ApiName=SERVICE), counts)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look once a second for as long as the context is open; then add what the functions wrote."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as thread:
            watching = thread.submit(self._look, stop)
            try:
                yield
            finally:
                stop.set()
        watching.result()
        for point in self._rig.ledger.points():
            self._add(source(SERVICE, point.metric, **point.dimensions), *point.values, at=point.at)

    def _look(self, stop: threading.Event) -> None:
        clients = self._rig.clients()
        while not stop.wait(1):
            for name, use in list(self._rig.ledger.functions.items()):
                self._look_at_function(name, use)
            self._look_at_table(self._rig.ledger.units())
            self._look_at_queues(clients)

    def _look_at_function(self, name: str, use: FunctionUse) -> None:
        of = partial(source, "AWS/Lambda", FunctionName=LAMBDA.format(camel_case(name)))
        totals = {"Invocations": use.invocations, "Errors": use.errors, "Duration": use.milliseconds}
        grown = {of(each): self._grown(of(each), total) for each, total in totals.items()}
        running = use.invocations - use.ended
        if running or any(grown.values()):
            for metric, value in (grown | {of("ConcurrentExecutions"): max(1, running)}).items():
                self._add(metric, value)

    def _look_at_table(self, units: Mapping[str, int]) -> None:
        for kind, price in (("Write", DYNAMODB_WRITE_UNIT), ("Read", DYNAMODB_READ_UNIT)):
            consumed = sum(
                call_price(name, count, count) / price
                for name, count in units.items()
                if name.startswith("dynamodb:") and (name.split(":")[1] in WRITES) == (kind == "Write")
            )
            metric = source("AWS/DynamoDB", f"Consumed{kind}CapacityUnits", TableName=TABLE)
            self._add(metric, self._grown(metric, consumed))

    def _look_at_queues(self, clients: Clients) -> None:
        """Messages are taken to leave in the order they came in."""
        for name, url in queue_urls(self._rig.settings).items():
            answer: Any = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            known = answer["Attributes"]
            length = sum(int(known[f"ApproximateNumberOfMessages{each}"]) for each in ("", "NotVisible"))
            sent, now = self._sent[name], time.time()
            while len(sent) > length:
                sent.popleft()
            sent.extend([now] * (length - len(sent)))
            title = QUEUE.format(camel_case(name))
            age = source("AWS/SQS", "ApproximateAgeOfOldestMessage", QueueName=title)
            self._add(age, now - sent[0] if sent else 0.0)

    def _grown(self, metric: Source, total: float) -> float:
        before, self._totals[metric] = self._totals[metric], total
        return total - before

    def _add(self, metric: Source, *values: float, at: float | None = None) -> None:
        minute = int(((at or time.time()) - self._start) / MINUTE_SECONDS)
        self.samples[metric][minute] += values


def play(client: openai.OpenAI, upstream: ExitStack, port: int, most_lines: int) -> None:
    """What happens in the run, by the second, until every batch has ended or for `MOST_SECONDS`."""
    running: dict[str, str] = {}

    def lines(count: int, size: int) -> bytes:
        return input_file(min(count, most_lines), size)

    def create(name: str, data: bytes) -> None:
        file = client.files.create(file=data, purpose="batch")
        made = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        running[name] = made.id

    def poll() -> None:
        for name, identity in list(running.items()):
            if (batch := client.batches.retrieve(identity)).status in ENDED:
                print(f"{name}: {batch.status} {batch.request_counts}")
                del running[name]

    refused = lines(700, 204).replace(b'"model"', b'"mock":{"status":400},"model"', 90)
    events: dict[int, Callable[[], object]] = {
        1: lambda: create("first", lines(700, 201)),
        2: lambda: create("second", lines(700, 202)),
        4: lambda: create("third", lines(600, 203)),
        8: lambda: create("broken", input_file(20) + b"not JSON"),
        14: lambda: create("partly refused", refused),
        30: lambda: create("regretted", lines(900, 205)),
        44: lambda: [client.batches.cancel(running[each]) for each in running if each == "regretted"],
        46: lambda: create("through the outage", lines(900, 206)),
        60: upstream.close,
        70: lambda: upstream.enter_context(MockUpstream(port=port, **MODEL)),
        76: lambda: create("too large", lines(5_000, 207)),
        84: lambda: create("late", lines(500, 208)),
        90: lambda: create("later", lines(500, 209)),
    }
    for second in range(MOST_SECONDS):
        events.get(second, poll)()
        if second > max(events) and not running:
            return
        time.sleep(1)


def synthesised() -> dict[str, Any]:
    """The template of a stack with its defaults, with empty code."""
    # jsii starts Node when aws_cdk is imported.
    os.environ.setdefault("JSII_NODE", str(Path(sys.prefix) / "bin" / "node"))
    from aws_cdk import App

    from infra.deploy.deployment import Deployment
    from infra.deploy.layers import Code
    from infra.deploy.stack import NightlaneStack

    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment.from_context({"upstreams": [{"url": "https://models.acme.test/v1"}]})
        stack = NightlaneStack(app := App(), deployment=deployment, code=Code(*[Path(folder)] * 3))
        template: dict[str, Any] = app.synth().get_stack_by_name(stack.stack_name).template
    return template


def measure(most_lines: int) -> Result:
    """Play the story over the deployed widgets."""
    widgets = widgets_of(synthesised())
    # The deployed functions write their metrics under the stack's name.
    os.environ["POWERTOOLS_SERVICE_NAME"] = SERVICE
    with ExitStack() as upstream:
        url = upstream.enter_context(MockUpstream(**MODEL)).url
        with rig(url, MINUTE_SECONDS, **SETTINGS) as place:
            recorder = Recorder(place)
            hooks = {"response": [lambda answer: recorder.answered(answer.status_code)]}
            http = openai.DefaultHttpxClient(event_hooks=hooks)
            with (
                openai.OpenAI(base_url=place.base_url, api_key=KEY, http_client=http) as client,
                recorder.looking(),
            ):
                play(client, upstream, urlsplit(url).port or 0, most_lines)
    minutes = 1 + max(minute for values in recorder.samples.values() for minute in values)
    charts = [chart_of(widget, recorder.samples, minutes) for widget in widgets]
    return Result(charts=charts, caption=CAPTION)
