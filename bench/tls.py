"""Memory and processor time of infer with many requests in flight over TLS, as it is deployed."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.batches import batch_of, run_batch, start_rig
from bench.endpoint import embedding_answer, endpoint
from bench.result import Figure, Result
from nightlane.api_settings import KIB, MIB
from nightlane.settings import Settings
from nightlane.worker_memory import worker_memory
from tests.certificates import make_certificate
from tests.rig.rig import Rig
from tests.upstream import only

IN_FLIGHT = (10, 100, 300)
REQUEST_BYTES = 3_000
SMALL_ANSWER = json.dumps(
    {"object": "list", "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}, "data": ["x" * 3_900]}
).encode()
SMALL_ANSWERS_PER_SLOT = 20
# (bytes, answers): just below and above what needs room in the budget, all at once; and the largest.
LARGE_ANSWERS = ((240 * KIB, 600), (1 * MIB, 300), (15 * MIB, 30))
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Used:
    peak_mib: float
    milliseconds: float
    """Processor time of the whole process, with its start."""


def measure(max_lines: int) -> Result:
    """Peak MiB, and milliseconds of processor time per request."""
    figures = []
    for in_flight in IN_FLIGHT:
        memory = f"≤ {worker_memory(in_flight)}"
        few, many = min(in_flight, max_lines), min(in_flight * SMALL_ANSWERS_PER_SLOT, max_lines)
        name = f"{in_flight} in flight"
        start, used = (used_by(in_flight, SMALL_ANSWER, count, 0.0) for count in (1, many))
        per_request = (used.milliseconds - start.milliseconds) / many
        figures.append(Figure(f"{name}, processor time", per_request, "ms per request"))
        peak = used_by(in_flight, SMALL_ANSWER, 4 * few, ANSWER_SECONDS).peak_mib
        figures.append(Figure(f"{name}, answers of 4 KB", peak, "MiB", memory))
        for size, answers in LARGE_ANSWERS:
            body = embedding_answer(size)
            peak = used_by(in_flight, body, min(answers, 2 * few), ANSWER_SECONDS).peak_mib
            figures.append(Figure(f"{name}, answers of {size // KIB:,} KiB", peak, "MiB", memory))
    return Result(figures)


def used_by(in_flight: int, answer: bytes, answers: int, seconds: float) -> Used:
    """What a worker uses for a batch that gets this answer to every request after so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        settings = {
            "max_concurrent_requests_per_batch": in_flight,
            "requests_in_flight_per_worker": in_flight,
            "checkpoint_seconds": Settings().checkpoint_seconds,
        }
        with (
            endpoint("embeddings", answer, seconds, certificate) as url,
            start_rig(url, upstreams=only(url, ca=certificate.text), **settings) as rig,
        ):
            request = json.dumps({"model": "m", "input": ["x" * REQUEST_BYTES]}).encode()
            run_batch(rig, batch_of("/v1/embeddings", [request] * answers), "/v1/embeddings")
            return Used(rig.ledger.functions["infer"].peak_rss_kib / KIB, _processor_milliseconds(rig))


def _processor_milliseconds(rig: Rig) -> float:
    ticks = 0
    for pid in rig.pids("infer"):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return 1_000 * ticks / os.sysconf("SC_CLK_TCK")
