"""The home on one machine: delays, and peak memory."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import openai

from bench.batches import KEY, input_file, run_batch
from bench.result import Figure, Result
from bench.servers import KIB_PER_MIB, Server, watched
from infra.cli.mock.process import MockUpstream

SAMPLE_SECONDS = 0.02
# The worker starts shortly after the server.
START_SECONDS = 3.0
BATCHES_OF_ONE_LINE = 20
ONE_LINE_LATENCY = 0.05
LINE_BYTES = 3_950


@contextlib.contextmanager
def start_home(
    upstream_url: str | None,
    *options: str,
    folder: Path | None = None,
    sample_seconds: float | None = SAMPLE_SECONDS,
) -> Iterator[Server]:
    """`nightlane local` with this data folder, by default one of its own."""
    with TemporaryDirectory() as own:
        data = str(folder or own)
        command = [sys.executable, "-m", "infra.cli.app", "local", "--port", "0", "--data", data]
        endpoint = [] if upstream_url is None else ["--upstream", upstream_url]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, *endpoint, "--api-key", KEY, *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        base_url = process.stdout.readline().split()[1]
        with watched(Server(base_url, time.monotonic() - began, process), sample_seconds) as server:
            yield server


def measure(max_lines: int) -> Result:
    """Delays and memory of `nightlane local`, started as a user starts it."""
    return Result(delays() + memory(max_lines))


def delays() -> list[Figure]:
    """How long a start takes, and a batch of one line."""
    seconds = []
    with MockUpstream(latency_mean=ONE_LINE_LATENCY) as upstream, start_home(upstream.url) as home:
        with openai.OpenAI(base_url=home.base_url, api_key=KEY) as client:
            file = client.files.create(file=input_file(1), purpose="batch")
            for _ in range(BATCHES_OF_ONE_LINE):
                began = time.monotonic()
                batch = client.batches.create(
                    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
                while batch.status != "completed":
                    time.sleep(0.005)
                    batch = client.batches.retrieve(batch.id)
                seconds.append(time.monotonic() - began - ONE_LINE_LATENCY)
        return [
            Figure("start until requests are answered", home.start_seconds, "s", "≤ 2"),
            Figure("batch of one line, beyond its latency", median(seconds), "s", "≤ 0.5"),
        ]


def memory(lines: int) -> list[Figure]:
    """Peak memory with a large batch, including upload and download, in processes that do nothing else."""
    with TemporaryDirectory() as folder, MockUpstream() as upstream, start_home(upstream.url) as home:
        time.sleep(START_SECONDS)
        idle = dict(home.peaks_kib)
        large = Path(folder) / "large.jsonl"
        large.write_bytes(input_file(lines, LINE_BYTES))
        batch = run_batch(home, large)
        with (
            openai.OpenAI(base_url=home.base_url, api_key=KEY) as client,
            client.files.with_streaming_response.content(str(batch.output_file_id)) as content,
        ):
            answered = sum(json.loads(line)["error"] is None for line in content.iter_lines())
        assert answered == lines
        return [
            Figure(f"{name}, peak {what}", peaks[name] / KIB_PER_MIB, "MiB")
            for name in ("server", "worker")
            for what, peaks in (("when idle", idle), (f"with {lines:,} lines of 4 kB", home.peaks_kib))
        ]
