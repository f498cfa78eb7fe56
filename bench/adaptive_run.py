"""One batch before a mock endpoint whose capacity is limited, traced in real time."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import fmean, quantiles
from typing import Any

import openai

from bench.batches import KEY, bodies, input_file, run_batch
from bench.home import start_home
from bench.result import Chart
from bench.servers import free_port
from infra.cli.mock.gate import Capacity
from infra.cli.mock.process import MockUpstream

LATENCY, SIGMA = 0.5, 0.3
LIMIT = 32
SAMPLE_SECONDS = 0.5
IDLE_SECONDS = 10.0
COMPLETION_SECONDS = 240.0
CHART_WIDTH, CHART_HEIGHT = 6, 6


@dataclass
class Trace:
    """What the mock reported, about twice a second; empty while it does not run."""

    samples: list[tuple[float, dict[str, Any] | None]] = field(default_factory=list)

    def between(self, since: float, until: float) -> list[tuple[float, dict[str, Any]]]:
        return [(at, each) for at, each in self.samples if each is not None and since <= at <= until]

    def change(self, name: str, since: float, until: float) -> float:
        """By how much a counter grew; a restart sets it back to zero."""
        values = [each[name] for _, each in self.between(since, until)]
        return float(sum(max(0, after - before) for before, after in pairwise(values)))

    def rate(self, since: float, until: float) -> float:
        """Answers per second."""
        known = self.between(since, until)
        return self.change("answered", since, until) / (known[-1][0] - known[0][0])

    def refused_share(self, since: float, until: float) -> float:
        refused = self.change("refused", since, until)
        return refused / (refused + self.change("answered", since, until))

    def in_flight(self, since: float, until: float) -> float:
        return fmean(each["in_flight"] for _, each in self.between(since, until))


@dataclass
class Run:
    """One batch before a mock endpoint."""

    name: str
    capacity: Capacity
    lines: int
    events: Sequence[tuple[float, Callable[["Run"], None]]] = ()
    """What changes, and after how many seconds."""
    users: int = 0
    """They send one request after the other, also before the batch."""
    target_factor: float | None = None
    """`target_seconds_per_output_token` ÷ what the users measure before the batch."""
    trace: Trace = field(default_factory=Trace)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """When a request of the users began, from the start of the batch, and its seconds."""
    failed: int = 0
    seconds: float = 0.0
    port: int = 0
    _began: float = math.inf

    def start_mock(self) -> None:
        options = {name: value for name, value in asdict(self.capacity).items() if value is not None}
        mock = MockUpstream(port=self.port, latency_mean=LATENCY, latency_sigma=SIGMA, **options)
        self.mock = mock.__enter__()

    def stop_mock(self) -> None:
        self.mock.__exit__(None, None, None)

    def __call__(self) -> "Run":
        self.port = free_port()
        self.start_mock()
        try:
            self._measure()
        finally:
            self.stop_mock()
        return self

    def _measure(self) -> None:
        with ExitStack() as stack:
            options = ["--set", f"max_concurrent_requests_per_batch={LIMIT}"]
            if self.users:
                seconds_per_token = self._let_users_ask(stack)
                if self.target_factor is not None:
                    target = seconds_per_token * self.target_factor
                    options += ["--set", f"target_seconds_per_output_token={target:.4f}"]
            home = stack.enter_context(start_home(self.mock.url, *options))
            # Its worker starts with the first batch.
            run_batch(home, input_file(1))
            self._began = time.monotonic()
            stack.enter_context(_in_background(self._sample))
            for at, change in self.events:
                timer = threading.Timer(at, change, (self,))
                timer.start()
                stack.callback(timer.cancel)
            self._run_batch(home.base_url)

    def _run_batch(self, url: str) -> None:
        with openai.OpenAI(base_url=url, api_key=KEY) as client:
            file = client.files.create(file=input_file(self.lines), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            while batch.status not in ("completed", "failed", "expired", "cancelled"):
                time.sleep(SAMPLE_SECONDS)
                batch = client.batches.retrieve(batch.id)
                if time.monotonic() - self._began > COMPLETION_SECONDS:
                    raise AssertionError(f"{self.name}: {batch}")
        self.seconds = time.monotonic() - self._began
        assert batch.request_counts is not None
        self.failed = batch.request_counts.total - batch.request_counts.completed

    def _sample(self) -> None:
        statistics = None
        with suppress(OSError):
            statistics = self.mock.statistics()
        self.trace.samples.append((time.monotonic() - self._began, statistics))

    def _let_users_ask(self, stack: ExitStack) -> float:
        """Start the users, and return the seconds per output token of the idle endpoint."""
        tokens: list[tuple[float, int]] = []
        questions = iter(list(bodies(100_000)))
        idle_since = time.monotonic()

        def ask() -> None:
            began = time.monotonic()
            body = next(questions)
            usage = self.mock.ask(body)["usage"]
            seconds = time.monotonic() - began
            tokens.append((seconds, usage["completion_tokens"]))
            self.latencies.append((began - self._began, seconds))

        for _ in range(self.users):
            stack.enter_context(_in_background(ask, pause=0.05))
        time.sleep(max(0.0, idle_since + IDLE_SECONDS - time.monotonic()))
        idle = list(tokens)
        return sum(seconds for seconds, _ in idle) / sum(count for _, count in idle)

    def p95(self, since: float, until: float) -> float:
        return quantiles([seconds for at, seconds in self.latencies if since <= at <= until], n=20)[-1]

    def charts(self, row: int) -> Iterator[Chart]:
        """Its row of charts, with one value per second."""
        seconds = range(int(self.seconds))
        series: dict[str, list[float | None]] = {
            "in flight at the endpoint": [],
            "refused": [],
            "answered": [],
            "latency": [],
        }
        for at in seconds:
            known = self.trace.between(at - SAMPLE_SECONDS, at + 1)
            is_known = len(known) > 1
            lasted = known[-1][0] - known[0][0] if is_known else 0.0
            answered = self.trace.change("answered", at - SAMPLE_SECONDS, at + 1)
            took = self.trace.change("seconds", at - SAMPLE_SECONDS, at + 1)
            refused = self.trace.change("refused", at - SAMPLE_SECONDS, at + 1)
            series["in flight at the endpoint"].append(known[-1][1]["in_flight"] if is_known else None)
            series["refused"].append(refused / lasted if is_known else None)
            series["answered"].append(answered / lasted if is_known else None)
            series["latency"].append(took / answered if is_known and answered else None)
        units = ("requests", "per second", "per second", "seconds, mean")
        y = row * CHART_HEIGHT
        for column, ((label, values), unit) in enumerate(zip(series.items(), units, strict=True)):
            title = self.name if not column else label
            yield Chart(
                title, unit, column * CHART_WIDTH, y, CHART_WIDTH, CHART_HEIGHT, False, {label: values}
            )


@contextmanager
def _in_background(work: Callable[[], None], pause: float = SAMPLE_SECONDS) -> Iterator[None]:
    """Repeat this on a thread while the context is open."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
