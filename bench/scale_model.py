"""How long a batch runs and waits, in closed form; `infra.cost` has its AWS calls.

Times are in seconds. Nothing here is measured: `bench.scale` compares it with a simulation and real runs.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from infra.cost import FUNCTION_SECONDS, Run, build_run
from nightlane.domain.inference.supervisor import LAST_COMMIT_SECONDS, MEAN_FACTOR, SLOWEST_FACTOR
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


@lru_cache(maxsize=10_000)
def pool_seconds(lines: int, slots: int, mean: float, sigma: float) -> float:
    """How long a rolling pool takes on average.

    When the last line starts, each other slot has the rest of a line to run: the residual life of a renewal
    process of that age. The pool ends with the longest of these.
    """
    if not sigma:
        return math.ceil(lines / slots) * mean
    if lines <= slots:
        return _residual(mean, sigma, 0.0, lines - 1)[1]
    age = lines * mean / slots
    for _ in range(4):
        left, longest = _residual(mean, sigma, age, slots - 1)
        age = (lines * mean - (slots - 1) * left - mean) / slots
    return age + longest


def _residual(mean: float, sigma: float, age: float, others: int, steps: int = 2_000) -> tuple[float, float]:
    """Of slots busy for `age`: the mean time left, and the mean of the longest of `others` and a new line."""
    normal, mu = NormalDist(), math.log(mean) - sigma**2 / 2

    def survival(seconds: float) -> float:
        return normal.cdf((mu - math.log(seconds)) / sigma)

    def equilibrium(seconds: float) -> float:
        shifted = normal.cdf((mu - math.log(seconds)) / sigma + sigma)
        return max(0.0, shifted - seconds / mean * survival(seconds))

    low, high = mu - 8 * sigma, mu + 8 * sigma
    step = (high - low) / steps
    left, longest = math.exp(low), math.exp(low)
    for number in range(steps):
        seconds = math.exp(low + (number + 0.5) * step)
        fresh = survival(seconds)
        begun = fresh
        if age:
            begun = survival(age + seconds) + equilibrium(seconds) - equilibrium(age + seconds)
        left += begun * seconds * step
        longest += (1 - (1 - fresh) * (1 - min(1.0, begun)) ** others) * seconds * step
    return left, longest


def invocations_of(lines: int, slots: int, mean: float, sigma: float) -> int:
    """How many invocations a lane needs: `Supervisor` starts no line that would probably not end in time.

    The slowest line so far cannot have taken longer than the invocation so far.
    """
    most = min(lines, FUNCTION_SECONDS * slots / mean)
    slowest = mean * math.exp(sigma * NormalDist().inv_cdf(1 - 1 / (most + 2)) - sigma**2 / 2)
    starting = FUNCTION_SECONDS - LAST_COMMIT_SECONDS - min(SLOWEST_FACTOR * slowest, MEAN_FACTOR * mean)
    return math.ceil(lines * mean / slots / max(starting, FUNCTION_SECONDS / (1 + SLOWEST_FACTOR)))


@lru_cache(maxsize=1_000)
def run_of(shape: Shape) -> Run:
    """The time a batch takes and the checkpoints it makes."""

    def pace(lines: int, slots: int) -> tuple[float, int]:
        runs = invocations_of(lines, slots, shape.latency, shape.sigma)
        return runs * pool_seconds(math.ceil(lines / runs), slots, shape.latency, shape.sigma), runs

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
