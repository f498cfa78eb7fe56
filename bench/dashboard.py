"""The deployed dashboard, with data from a run on this machine."""

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

from bench.batches import KEY, input_file, start_rig
from bench.result import Result
from bench.widgets import Source, chart_of, source, widgets_of
from infra.cli.mock.process import MockUpstream
from infra.deploy import camel_case
from nightlane.aws.clients import Clients
from nightlane.aws.prices import DYNAMODB_READ_UNIT, DYNAMODB_WRITE_UNIT, WRITES, call_price
from tests.rig.ledger import FunctionUse
from tests.rig.provision import queue_urls
from tests.rig.rig import Rig

SERVICE = "Nightlane"
# Logical ids in the template, without their hash.
LAMBDA, QUEUE, TABLE = "Functions{}Function", "Queues{}", "StorageTable"
MINUTE_SECONDS = 3
MAX_SECONDS = 165
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
    "is down for ten seconds.\n"
    f"The deployed widgets with data from this run on one machine. A minute lasts {MINUTE_SECONDS} s here, "
    "so sums, and dollars too, are for that time. A faint label has no data.\n"
    "Nightlane's metrics are as its functions wrote them. AWS's metrics are what the run counted: "
    "invocations, responses, calls to the table, lengths of queues (ages are estimated from these)."
)
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


class Recorder:
    """The samples of a run, counted from now on: AWS's own metrics as far as a local run can know them."""

    def __init__(self, rig: Rig) -> None:
        self.samples: dict[Source, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._rig, self._start = rig, time.time()
        self._totals: dict[Source, float] = defaultdict(float)
        self._sent: dict[str, deque[float]] = defaultdict(deque)

    def record_response(self, status: int) -> None:
        """Count a response of the API to a client."""
        kinds = {"Count": True, "4XXError": status // 100 == 4, "5XXError": status >= 500}
        for name, counts in kinds.items():
            self._add(source("AWS/ApiGateway", name, ApiName=SERVICE), counts)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Sample once a second while the context is open; then add the metrics that the functions wrote."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as thread:
            sampling = thread.submit(self._sample_until, stop)
            try:
                yield
            finally:
                stop.set()
        sampling.result()
        for point in self._rig.ledger.points():
            self._add(source(SERVICE, point.metric, **point.dimensions), *point.values, at=point.at)

    def _sample_until(self, stop: threading.Event) -> None:
        clients = self._rig.clients()
        while not stop.wait(1):
            for name, use in list(self._rig.ledger.functions.items()):
                self._sample_function(name, use)
            self._sample_table(self._rig.ledger.units())
            self._sample_queues(clients)

    def _sample_function(self, name: str, use: FunctionUse) -> None:
        of = partial(source, "AWS/Lambda", FunctionName=LAMBDA.format(camel_case(name)))
        totals = {"Invocations": use.invocations, "Errors": use.errors, "Duration": use.milliseconds}
        increases = {of(each): self._increase(of(each), total) for each, total in totals.items()}
        running = use.invocations - use.ended
        if running or any(increases.values()):
            for metric, value in (increases | {of("ConcurrentExecutions"): max(1, running)}).items():
                self._add(metric, value)

    def _sample_table(self, units: Mapping[str, int]) -> None:
        for kind, price in (("Write", DYNAMODB_WRITE_UNIT), ("Read", DYNAMODB_READ_UNIT)):
            consumed = sum(
                call_price(name, count, count) / price
                for name, count in units.items()
                if name.startswith("dynamodb:") and (name.split(":")[1] in WRITES) == (kind == "Write")
            )
            metric = source("AWS/DynamoDB", f"Consumed{kind}CapacityUnits", TableName=TABLE)
            self._add(metric, self._increase(metric, consumed))

    def _sample_queues(self, clients: Clients) -> None:
        """Ages are estimated as if messages left in the order in which they arrived."""
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

    def _increase(self, metric: Source, total: float) -> float:
        before, self._totals[metric] = self._totals[metric], total
        return total - before

    def _add(self, metric: Source, *values: float, at: float | None = None) -> None:
        minute = int(((at or time.time()) - self._start) / MINUTE_SECONDS)
        self.samples[metric][minute] += values


def run_scenario(client: openai.OpenAI, upstream: ExitStack, port: int, max_lines: int) -> None:
    """Play the scenario, second by second, until every batch has ended or for `MAX_SECONDS`."""
    running: dict[str, str] = {}

    def lines(count: int, size: int) -> bytes:
        return input_file(min(count, max_lines), size)

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
        30: lambda: create("cancelled", lines(900, 205)),
        44: lambda: [client.batches.cancel(running[each]) for each in running if each == "cancelled"],
        46: lambda: create("through the outage", lines(900, 206)),
        60: upstream.close,
        70: lambda: upstream.enter_context(MockUpstream(port=port, **MODEL)),
        76: lambda: create("too large", lines(5_000, 207)),
        84: lambda: create("late", lines(500, 208)),
        90: lambda: create("later", lines(500, 209)),
    }
    for second in range(MAX_SECONDS):
        events.get(second, poll)()
        if second > max(events) and not running:
            return
        time.sleep(1)


def synthesise_template(**context: Any) -> dict[str, Any]:
    """The template of a stack with empty code, and with default settings except for those in `context`."""
    # jsii starts Node when aws_cdk is imported.
    os.environ.setdefault("JSII_NODE", str(Path(sys.prefix) / "bin" / "node"))
    from aws_cdk import App

    from infra.deploy.deployment import Deployment
    from infra.deploy.layers import Code
    from infra.deploy.stack import NightlaneStack

    with tempfile.TemporaryDirectory() as folder:
        upstreams = [{"url": "https://models.acme.test/v1"}]
        deployment = Deployment.from_context({"upstreams": upstreams} | context)
        stack = NightlaneStack(app := App(), deployment=deployment, code=Code(*[Path(folder)] * 3))
        template: dict[str, Any] = app.synth().get_stack_by_name(stack.stack_name).template
    return template


def measure(max_lines: int) -> Result:
    """Run the scenario, and evaluate the deployed widgets over its samples."""
    widgets = widgets_of(synthesise_template())
    # The deployed functions write their metrics under the stack's name.
    os.environ["POWERTOOLS_SERVICE_NAME"] = SERVICE
    with ExitStack() as upstream:
        url = upstream.enter_context(MockUpstream(**MODEL)).url
        with start_rig(url, MINUTE_SECONDS, **SETTINGS) as rig:
            recorder = Recorder(rig)
            hooks = {"response": [lambda answer: recorder.record_response(answer.status_code)]}
            http = openai.DefaultHttpxClient(event_hooks=hooks)
            with (
                openai.OpenAI(base_url=rig.base_url, api_key=KEY, http_client=http) as client,
                recorder.recording(),
            ):
                run_scenario(client, upstream, urlsplit(url).port or 0, max_lines)
    minutes = 1 + max(minute for values in recorder.samples.values() for minute in values)
    charts = [chart_of(widget, recorder.samples, minutes) for widget in widgets]
    return Result(charts=charts, caption=CAPTION)
