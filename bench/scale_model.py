"""How long a batch runs and waits, in closed form; `nightlane.aws.runs` has its AWS calls.

Times are in seconds. Nothing here is measured: `bench.scale` compares it with a simulation and real runs.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from bench.lane_model import lane_pace
from nightlane.aws.bill import Run
from nightlane.aws.runs import Pace, build_run
from nightlane.settings import Settings

DAY = 86_400

# An assumption that has not been measured on a real account.
TRANSACTION_SECONDS = 0.010
ID_BYTES, TENANT_BYTES = len("batch_") + 32, 10
# Two sets have an element for each batch: its id, and its id, "#" and tenant. An element of a set takes its
# own bytes and one more: …/developerguide/CapacityUnitCalculations.html
ADMITTED_BYTES = (ID_BYTES + 1) + (ID_BYTES + 1 + TENANT_BYTES + 1)

ONE_WORKER = Settings(max_concurrent_requests_per_batch=100)


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch: latencies are log-normal with this mean and sigma, sizes are in bytes per line."""

    lines: int = 1_000
    latency: float = 5.0
    sigma: float = 1.0
    settings: Settings = ONE_WORKER
    input_bytes: int = 3_000
    output_bytes: int = 4_000


@lru_cache(maxsize=1_000)
def run_of(shape: Shape) -> Run:
    """The time a batch takes and the checkpoints it makes."""

    def pace(lines: int, slots: int) -> Pace:
        return lane_pace(lines, slots, shape.latency, shape.sigma)

    return build_run(shape.lines, shape.input_bytes, shape.output_bytes, shape.settings, pace)


def attempts_per_transaction(per_second: float, seconds: float = TRANSACTION_SECONDS) -> float:
    """Attempts per transaction if transactions on one item arrive at random and conflicts are retried."""
    share = per_second * seconds
    return 1 / (1 - share) if share < 1 else math.inf


def waiting_seconds(per_second: float, service: float, slots: int) -> float:
    """Mean wait for admission of batches that arrive at random and all take equally long.

    Erlang's C, halved for the constant service time (Lee and Longton): https://en.wikipedia.org/wiki/M/G/k_queue
    """
    offered = per_second * service
    if offered >= slots:
        return math.inf
    blocked = 1.0
    for number in range(1, slots + 1):
        blocked = offered * blocked / (number + offered * blocked)
    must_wait = blocked / (1 - offered / slots * (1 - blocked))
    return must_wait * service / (slots - offered) / 2
