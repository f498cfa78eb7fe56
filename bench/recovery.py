"""kill -9 of all of a server's processes in the middle of a batch, and a restart on the same data."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import openai

from bench import reference
from bench.batches import KEY
from bench.comparison import NIGHTLANE, caption, input_with, latencies
from bench.home import start_home
from bench.result import Chart, Figure, Result
from bench.servers import Server
from infra.cli.mock.process import MockUpstream

LINES = 1_000
LATENCY, SIGMA = 0.1, 1.0
POLL_SECONDS = 0.05
# A server that sends nothing for this long after its restart is taken not to resume.
RESUME_SECONDS = 60.0
# A restarted server may wait this long for the rest of the batch.
FINISH_SECONDS = 600.0
ENDED = "completed", "failed", "expired", "cancelled"

StartOn = Callable[[str, Path], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of one batch."""

    answered: int
    """Requests that the endpoint had answered before the kill."""
    started: float
    """Seconds from the restart until the server answers clients."""
    resumed: float | None
    """Seconds from the restart until the endpoint gets a request; None if it got none."""
    status: str
    lines_with_result: int
    sent_twice: int
    """Including those of a second batch of the same file, if the first one was not resumed."""


def _start_home(url: str, folder: Path) -> AbstractContextManager[Server]:
    return start_home(url, folder=folder, sample_seconds=1.0)


def _start_ogx(url: str, folder: Path) -> AbstractContextManager[Server]:
    return reference.start_ogx(url, folder=folder)


def measure(max_lines: int) -> Result:
    """Lines lost, lines sent twice, and seconds to resume, of each server."""
    lines = min(LINES, max_lines)
    starts: dict[str, StartOn] = {NIGHTLANE: _start_home}
    if reference.is_installed():
        starts[reference.NAME] = _start_ogx
    found = {name: recover(start, lines) for name, start in starts.items()}
    shape = f"{lines:,} lines of {LATENCY:g} s (σ = {SIGMA:g})"
    text = f"{shape}; kill -9 of all processes when half of them have been sent, then a restart."
    counts = {
        name: [float(each.answered), float(lines - each.lines_with_result), float(each.sent_twice)]
        for name, each in found.items()
    }
    points = ["answered before", "without a result after", "sent twice"]
    chart = Chart("kill -9 in the middle of a batch", "lines", 0, 0, 14, 8, False, counts, points)
    figures = [figure for name, each in found.items() for figure in _figures(name, lines, each)]
    return Result(figures, [chart], caption(text, starts))


def recover(start: StartOn, lines: int) -> Recovery:
    """Kill the server when the endpoint has got half of the lines, start it again, and see what it does."""
    with TemporaryDirectory() as folder, MockUpstream() as upstream:
        data = input_with(latencies(lines, LATENCY, SIGMA))
        with start(upstream.url, Path(folder)) as server, _client(server) as client:
            file = client.files.create(file=("input.jsonl", server.named(data)), purpose="batch")
            batch = _create(client, file.id)
            while upstream.statistics()["requests"] < lines / 2:
                time.sleep(POLL_SECONDS)
            server.kill()
        before = upstream.statistics()
        began = time.monotonic()
        with start(upstream.url, Path(folder)) as server, _client(server) as client:
            has_resumed = partial(_has_more, upstream, before["requests"])
            resumed = time.monotonic() - began if _wait_until(has_resumed, RESUME_SECONDS) else None
            if resumed is not None:
                _wait_until(lambda: client.batches.retrieve(batch).status in ENDED, FINISH_SECONDS)
            after = client.batches.retrieve(batch)
            results = _lines_of(client, after.output_file_id)
            if resumed is None:
                # What is left to its user: the same batch again.
                again = _create(client, file.id)
                _wait_until(lambda: client.batches.retrieve(again).status in ENDED, FINISH_SECONDS)
            sent_twice = int(upstream.statistics()["repeated"])
        return Recovery(before["answered"], server.start_seconds, resumed, after.status, results, sent_twice)


def _figures(name: str, lines: int, found: Recovery) -> list[Figure]:
    lost = lines - found.lines_with_result
    figures = [
        Figure(f"{name}: answered before the kill", found.answered, "lines"),
        Figure(f"{name}: start until clients are answered", found.started, "s"),
        Figure(f"{name}: without a result after the restart", lost, f"lines; batch {found.status}"),
    ]
    if found.resumed is None:
        note = f"not resumed in {RESUME_SECONDS:g} s; created again"
        return [*figures, Figure(f"{name}: sent twice", found.sent_twice, f"lines; {note}")]
    return [
        *figures,
        Figure(f"{name}: sent twice", found.sent_twice, "lines"),
        Figure(f"{name}: restart until the next request", found.resumed, "s"),
    ]


def _client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=KEY, timeout=RESUME_SECONDS)


def _create(client: openai.OpenAI, file_id: str) -> str:
    return client.batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
    ).id


def _has_more(upstream: MockUpstream, requests: int) -> bool:
    return bool(upstream.statistics()["requests"] > requests)


def _wait_until(is_true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _lines_of(client: openai.OpenAI, file_id: str | None) -> int:
    """How many lines have an answer in an output file."""
    if file_id is None:
        return 0
    lines = client.files.content(file_id).text.splitlines()
    return len({json.loads(line)["custom_id"] for line in lines})
