"""Three batches at once on two upstreams with limits, on one machine: how busy each of them is."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import openai

from bench.batches import KEY, batch_of, bodies
from bench.home import start_home
from bench.result import Figure, Result
from infra.cli.mock.process import MockUpstream

LIMITS = {"mock-small": 3, "mock-large": 7}
LATENCY = 0.1
BATCHES = 3
LINES = 2_000
# Of each batch; in proportion to the limits, so that both are busy until the end.
SMALL_IN_TEN = 3
POLL_SECONDS = 0.1


def measure(max_lines: int) -> Result:
    """How busy the upstreams are from when all batches run until the first one ends, and at most."""
    lines = min(LINES, max_lines)
    with (
        TemporaryDirectory() as folder,
        MockUpstream(latency_mean=LATENCY) as small,
        MockUpstream(latency_mean=LATENCY) as large,
    ):
        mocks = {"mock-small": small, "mock-large": large}
        described = [
            {"name": model, "url": mock.url, "models": [model], "max_concurrent_requests": LIMITS[model]}
            for model, mock in mocks.items()
        ]
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"upstreams": described, "max_concurrent_batches": BATCHES}))
        with start_home(None, "--config", str(config)) as home:
            busy = _run(home.base_url, mocks, lines)
        maximum = {model: mock.statistics()["max_in_flight"] for model, mock in mocks.items()}
    return Result(
        [
            figure
            for model, limit in LIMITS.items()
            for figure in (
                Figure(
                    f"{model}, limit {limit}: mean in flight ÷ limit while {BATCHES} batches run",
                    busy[model] / limit,
                    "",
                    "≥ 0.90",
                ),
                Figure(f"{model}, limit {limit}: most in flight", maximum[model], "requests", f"≤ {limit}"),
            )
        ]
    )


def _input_file(lines: int, batch: int) -> bytes:
    """Requests for both models; no two of all batches are the same."""
    own = list(bodies(lines * BATCHES))[lines * batch : lines * (batch + 1)]
    return batch_of(
        "/v1/chat/completions",
        (
            body if number % 10 < SMALL_IN_TEN else body.replace(b"mock-small", b"mock-large")
            for number, body in enumerate(own)
        ),
    )


def _run(base_url: str, mocks: dict[str, MockUpstream], lines: int) -> dict[str, float]:
    """Run the batches to their ends; returns the mean requests in flight while all of them run."""
    with openai.OpenAI(base_url=base_url, api_key=KEY) as client:

        def completed() -> list[int]:
            counts = [client.batches.retrieve(each).request_counts for each in ids]
            return [each.completed if each else 0 for each in counts]

        files = [
            client.files.create(file=_input_file(lines, batch), purpose="batch") for batch in range(BATCHES)
        ]
        ids = [
            client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            ).id
            for file in files
        ]
        while not all(completed()):
            time.sleep(POLL_SECONDS)
        before = {model: mock.statistics() for model, mock in mocks.items()}
        # The last lines of a batch leave its own part of the limit unused for a moment.
        while max(completed()) < 0.95 * lines:
            time.sleep(POLL_SECONDS)
        after = {model: mock.statistics() for model, mock in mocks.items()}
        while any(client.batches.retrieve(each).status != "completed" for each in ids):
            time.sleep(POLL_SECONDS)
    return {
        model: (_busy(after[model]) - _busy(before[model]))
        / (after[model]["elapsed"] - before[model]["elapsed"])
        for model in mocks
    }


def _busy(statistics: dict[str, float]) -> float:
    """The integral of the requests in flight over time."""
    return statistics["mean_in_flight"] * statistics["elapsed"]
