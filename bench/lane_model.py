"""How long a lane runs, in closed form: a rolling pool that each invocation hands to the next.

Latencies are log-normal, times are in seconds. `bench.lane_simulation` runs the same line by line.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from nightlane.aws.bill import FUNCTION_SECONDS
from nightlane.aws.runs import Pace
from nightlane.domain.inference.supervisor import LAST_COMMIT_SECONDS, MEAN_FACTOR, SLOWEST_FACTOR
from nightlane.settings import Settings

RUN_SECONDS = FUNCTION_SECONDS - LAST_COMMIT_SECONDS
STEPS = 2_000
UPSTREAM_TIMEOUT_SECONDS = Settings().upstream_timeout_seconds


@dataclass(frozen=True, slots=True)
class FullInvocation:
    """An invocation that has more lines than it can run."""

    starting: float
    """Seconds until it hands the lane over."""
    overlap: float
    """Seconds after that until its last line has ended."""
    given_up: float
    """Lines that the next one repeats."""
    lost: float
    """Seconds of all slots that were spent on these."""


@lru_cache(maxsize=10_000)
def pool_seconds(lines: int, slots: int, mean: float, sigma: float) -> float:
    """How long a rolling pool takes on average.

    When the last line starts, each other slot has the rest of a line to run: the residual life of a renewal
    process of that age. The pool ends with the longest of these.
    """
    if not sigma:
        return math.ceil(lines / slots) * mean
    if lines <= slots:
        return _residual(mean, sigma, 0.0, lines - 1).longest
    age = lines * mean / slots
    for _ in range(4):
        residual = _residual(mean, sigma, age, slots - 1)
        age = (lines * mean - (slots - 1) * residual.left - mean) / slots
    return age + residual.longest


def lane_pace(lines: int, slots: int, mean: float, sigma: float) -> Pace:
    """How long the lines of a lane take, and the invocations that they need."""
    full = full_invocation(slots, mean, sigma)
    begun_each = full.starting * slots / mean
    begun_first = math.ceil(full.starting / mean) * slots if not sigma else begun_each
    if sigma:
        # At first, no slot is in the middle of a line.
        begun_first += slots * _residual(mean, sigma, full.starting, slots).left / mean
    handed_over = max(0, math.ceil((lines - begun_first) / (begun_each - full.given_up)))
    # No request takes longer than the client waits.
    pool = min(pool_seconds(lines, slots, mean, sigma), lines * mean / slots + UPSTREAM_TIMEOUT_SECONDS)
    seconds = pool + handed_over * full.lost
    last, invocations = seconds - handed_over * full.starting, handed_over + 1
    if sigma and last > RUN_SECONDS:
        # All lines were begun, but the slowest were given up: another invocation repeats them.
        seconds += RUN_SECONDS - last + min(UPSTREAM_TIMEOUT_SECONDS, _slowest(lines, mean, sigma))
        invocations += 1
    return Pace(seconds, invocations, handed_over * full.overlap)


@lru_cache(maxsize=1_000)
def full_invocation(slots: int, mean: float, sigma: float) -> FullInvocation:
    """What an invocation does until its deadline.

    `Supervisor` starts no line that would probably not end in time, and the next invocation has the slots
    that become idle. What is still in flight when it has to commit is given up.
    """
    slowest = _slowest(FUNCTION_SECONDS * slots / mean, mean, sigma)
    # The slowest line so far cannot have taken longer than the invocation so far.
    starting = max(
        RUN_SECONDS - min(SLOWEST_FACTOR * slowest, MEAN_FACTOR * mean), RUN_SECONDS / (1 + SLOWEST_FACTOR)
    )
    if not sigma:
        return FullInvocation(starting, math.ceil(starting / mean) * mean - starting, 0.0, 0.0)
    drain = RUN_SECONDS - starting
    residual = _residual(mean, sigma, starting, slots, drain)
    # They were in flight for the drain and before it: about half as long again.
    lost = 1.5 * drain * residual.beyond
    return FullInvocation(starting, residual.longest, slots * residual.beyond, lost)


def _slowest(lines: float, mean: float, sigma: float) -> float:
    """How long the slowest of so many lines takes, about."""
    return mean * math.exp(sigma * NormalDist().inv_cdf(1 - 1 / (lines + 2)) - sigma**2 / 2)


@dataclass(frozen=True, slots=True)
class _Residual:
    left: float
    """The mean time until a slot is free."""
    longest: float
    """The mean time until all slots are free, and a line that begins now has ended."""
    beyond: float = 0.0
    """The share of slots that are busy for longer than the limit."""


def _residual(mean: float, sigma: float, age: float, others: int, limit: float = math.inf) -> _Residual:
    """How slots that have been busy for `age` become free; times are cut off at `limit`."""
    normal, mu = NormalDist(), math.log(mean) - sigma**2 / 2

    def survival(seconds: float) -> float:
        return normal.cdf((mu - math.log(seconds)) / sigma)

    def equilibrium(seconds: float) -> float:
        shifted = normal.cdf((mu - math.log(seconds)) / sigma + sigma)
        return max(0.0, shifted - seconds / mean * survival(seconds))

    def begun(seconds: float) -> float:
        if not age:
            return survival(seconds)
        return min(1.0, survival(age + seconds) + equilibrium(seconds) - equilibrium(age + seconds))

    low, high = mu - 8 * sigma, min(mu + 8 * sigma, math.log(limit))
    step = (high - low) / STEPS
    left, longest = math.exp(low), math.exp(low)
    for number in range(STEPS):
        seconds = math.exp(low + (number + 0.5) * step)
        busy = begun(seconds)
        left += busy * seconds * step
        longest += (1 - (1 - survival(seconds)) * (1 - busy) ** others) * seconds * step
    return _Residual(left, longest, begun(limit) if limit < math.inf else 0.0)
