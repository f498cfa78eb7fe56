"""Uploads: in parts of 4 MiB, on the rig with AWS's request limit and at home; in one request at home."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory

import openai

from bench.batches import KEY, Served, input_file, start_rig
from bench.home import START_SECONDS, start_home
from bench.result import Figure, Result
from bench.servers import KIB_PER_MIB
from nightlane.api_settings import MIB
from nightlane.settings import Settings

PART_BYTES = 4 * MIB
LINE_BYTES = 3_950
SMALL_LINES = 500
AWS_REQUEST_BYTES = Settings().max_upload_bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """How long an upload in parts took, in seconds."""

    total: float
    complete: float
    complete_cpu: float
    """Processor time of the processes that were watched, during the last request."""


def measure(max_lines: int) -> Result:
    """Seconds, and peak MiB of `api` and of the home's server."""
    data = input_file(max_lines, LINE_BYTES)
    sent, large = on_rig(data)
    _, small = on_rig(input_file(min(SMALL_LINES, max_lines), LINE_BYTES))
    memory = "memory of the server"
    figures = [
        Figure("size of the file", len(data) / 1e6, "MB"),
        Figure("rig: all parts and complete", sent.total, "s"),
        Figure("rig: complete, with md5", sent.complete, "s", "≤ 29"),
        Figure("rig: processor time of api in complete", sent.complete_cpu, "s"),
        Figure(f"rig: peak memory of api, {SMALL_LINES} lines", small, "MiB"),
        Figure("rig: peak memory of api", large, "MiB", "≤ 1024"),
    ]
    for name, in_parts in (("in parts", True), ("in one request", False)):
        seconds, idle, peak = at_home(data, in_parts=in_parts)
        figures += [
            Figure(f"home, {name}", seconds, "s"),
            Figure(f"home, {name}: {memory} when idle", idle, "MiB"),
            Figure(f"home, {name}: peak {memory}", peak, "MiB"),
        ]
    return Result(figures)


def on_rig(data: bytes) -> tuple[Sent, float]:
    """How long an upload takes on a new rig, and the peak MiB of `api`."""
    with start_rig("http://127.0.0.1:9/v1", max_upload_bytes=AWS_REQUEST_BYTES) as rig:
        sent = send_parts(rig, data, lambda: sum(map(_cpu_seconds, rig.pids("api"))))
        return sent, rig.ledger.functions["api"].peak_rss_kib / KIB_PER_MIB


def at_home(data: bytes, *, in_parts: bool) -> tuple[float, float, float]:
    """Seconds, and MiB of the server when idle and at most."""
    with TemporaryDirectory() as folder, start_home(None) as home:
        path = Path(folder) / "large.jsonl"
        path.write_bytes(data)
        time.sleep(START_SECONDS)
        idle, began = home.peaks_kib["server"], time.monotonic()
        if in_parts:
            send_parts(home, data, lambda: 0.0)
        else:
            with openai.OpenAI(base_url=home.base_url, api_key=KEY) as client:
                client.files.create(file=path, purpose="batch")
        seconds = time.monotonic() - began
        return seconds, idle / KIB_PER_MIB, home.peaks_kib["server"] / KIB_PER_MIB


def send_parts(server: Served, data: bytes, cpu_seconds: Callable[[], float]) -> Sent:
    """Upload in parts, one after another, as the client's helper does, and check the file."""
    began = time.monotonic()
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, timeout=300, max_retries=0) as client:
        upload = client.uploads.create(
            bytes=len(data), filename="large.jsonl", mime_type="application/jsonl", purpose="batch"
        )
        parts = (data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES))
        ids = [client.uploads.parts.create(upload.id, data=part).id for part in parts]
        checksum = md5(data, usedforsecurity=False).hexdigest()
        last, used = time.monotonic(), cpu_seconds()
        upload = client.uploads.complete(upload.id, part_ids=ids, md5=checksum)
        ended = time.monotonic()
        sent = Sent(ended - began, ended - last, cpu_seconds() - used)
        assert upload.file is not None
        assert client.files.content(upload.file.id).read() == data
    return sent


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
