"""Simultaneous creates of a batch with one idempotency key: batches, runs, and what each client gets."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import openai

from bench.batches import KEY, input_file
from bench.comparison import Start, caption, contenders
from bench.result import Chart, Figure, Result
from infra.cli.mock.process import MockUpstream

# What happens depends on which create is first, so there are several races, each on a new server.
RACES = 5
CREATES = 10
LINES = 100
# A client gives up after this long without an answer.
TIMEOUT_SECONDS = 300.0
# For the batches that there are then to end.
WAIT_SECONDS = 600.0
POLL_SECONDS = 0.2
ENDED = "completed", "failed", "expired", "cancelled"


@dataclass(frozen=True, slots=True)
class Race:
    """What came of simultaneous creates."""

    answers: Counter[str]
    """Status → number of creates."""
    returned: int
    """Different ids in the answers."""
    batches: int
    """Batches that exist afterwards."""
    runs: float
    """How often each line was sent."""
    seconds: float
    """From the first create to the last answer."""

    @classmethod
    def of_all(cls, races: Sequence["Race"]) -> "Race":
        """All answers, the most of each kind of batches and runs, and the median of the times."""
        return cls(
            sum((each.answers for each in races), Counter()),
            max(each.returned for each in races),
            max(each.batches for each in races),
            max(each.runs for each in races),
            median(each.seconds for each in races),
        )


def measure(max_lines: int) -> Result:
    """The races on each server."""
    lines = min(LINES, max_lines)
    starts = contenders()
    races = {name: Race.of_all([race(start, lines) for _ in range(RACES)]) for name, start in starts.items()}
    kinds = sorted({answer for each in races.values() for answer in each.answers})
    figures = [figure for name, each in races.items() for figure in _figures(name, each, kinds)]
    series = {name: [float(each.answers[kind]) for kind in kinds] for name, each in races.items()}
    text = (
        f"{CREATES} clients create a batch at the same time, with the same idempotency key and parameters; "
        f"{RACES} times."
    )
    chart = Chart("Answers by status", f"of {RACES * CREATES} creates", 0, 0, 12, 8, False, series, kinds)
    return Result(figures, [chart], caption(text, starts))


def _figures(name: str, found: Race, kinds: Sequence[str]) -> list[Figure]:
    return [
        *(
            Figure(f"{name}: answered {kind}", found.answers[kind], f"of {RACES * CREATES} creates")
            for kind in kinds
        ),
        Figure(f"{name}: different ids returned, at most", found.returned, "batches"),
        Figure(f"{name}: batches afterwards, at most", found.batches, "batches"),
        Figure(f"{name}: times that each line was sent, at most", found.runs, "times"),
        Figure(f"{name}: until the last answer, median", found.seconds, "s"),
    ]


def race(start: Start, lines: int) -> Race:
    """Create a batch with one key from many threads, and wait until whatever exists has ended."""
    together = threading.Barrier(CREATES)
    with (
        MockUpstream() as upstream,
        start(upstream.url) as server,
        openai.OpenAI(
            base_url=server.base_url, api_key=KEY, max_retries=0, timeout=TIMEOUT_SECONDS
        ) as client,
    ):
        data = server.named(input_file(lines))
        file = client.files.create(file=("input.jsonl", data), purpose="batch")

        def create(_number: int) -> tuple[str, str | None]:
            together.wait()
            return _create(client, file.id)

        began = time.monotonic()
        with ThreadPoolExecutor(CREATES) as pool:
            answers = list(pool.map(create, range(CREATES)))
        seconds = time.monotonic() - began
        # Retries, because a server may have closed one of the ten idle connections.
        batches = _wait(client.with_options(timeout=WAIT_SECONDS, max_retries=5))
        runs = upstream.statistics()["requests"] / lines
    returned = {batch_id for _, batch_id in answers if batch_id}
    return Race(Counter(status for status, _ in answers), len(returned), batches, runs, seconds)


def _create(client: openai.OpenAI, file_id: str) -> tuple[str, str | None]:
    """The status of the answer, and the batch's id if there is one."""
    try:
        batch = client.batches.create(
            input_file_id=file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            extra_body={"idempotency_key": "one"},
        )
    except openai.APIStatusError as error:
        return str(error.status_code), None
    except openai.APITimeoutError:
        return f"none in {TIMEOUT_SECONDS:g} s", None
    return "200", batch.id


def _wait(client: openai.OpenAI) -> int:
    """The number of batches, once all have ended or the time is up."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        batches = list(client.batches.list())
        if all(each.status in ENDED for each in batches) or time.monotonic() > deadline:
            return len(batches)
        time.sleep(POLL_SECONDS)
