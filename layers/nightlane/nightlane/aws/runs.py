"""The runs that `nightlane.aws.bill` prices: of a batch that has not run, or that ran elsewhere.

Times are in seconds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from nightlane.aws.bill import FUNCTION_SECONDS, LaneRun, Run, ShardRun
from nightlane.domain.cutting import cut_shards
from nightlane.domain.lines import Lines
from nightlane.domain.shard import Lane
from nightlane.settings import Settings


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the lines of a lane take, and the invocations that they need."""

    seconds: float
    invocations: int
    overlap_seconds: float = 0.0
    """How long two of them ran at once, in all."""


PaceOf = Callable[[int, int], Pace]
"""(lines, slots) → pace of a lane"""


def build_run(lines: int, input_bytes: int, output_bytes: int, settings: Settings, pace: PaceOf) -> Run:
    """The run of a batch, cut into shards as `plan` does, at this pace."""
    lanes = []
    for lane, counts in lane_shards(lines, input_bytes, settings).items():
        paced = pace(sum(counts), settings.lane_capacities()[lane])
        seconds, invocations = paced.seconds, paced.invocations
        shards = []
        for number, count in enumerate(counts):
            took = seconds * count / sum(counts)
            commits = checkpoints_per_shard(count, count * output_bytes, took, settings)
            # Each invocation but the last hands over in the middle of a shard.
            shards.append(ShardRun(count, min(count, commits + (number < invocations - 1))))
        lanes.append(LaneRun(tuple(shards), seconds, invocations, paced.overlap_seconds))
    return Run(lines, input_bytes, output_bytes, settings, tuple(lanes))


def observed_run(lines: int, input_bytes: int, output_bytes: int, settings: Settings, seconds: float) -> Run:
    """The run of a batch that took `seconds` from its first request to its last."""

    def pace(count: int, slots: int) -> Pace:
        took = seconds * count / lines * sum(settings.lane_capacities()) / slots
        return Pace(took, math.ceil(took / FUNCTION_SECONDS))

    return build_run(lines, input_bytes, output_bytes, settings, pace)


@lru_cache(maxsize=1_000)
def lane_shards(lines: int, input_bytes: int, settings: Settings) -> dict[int, tuple[int, ...]]:
    """The number of lines of each shard, by lane, as `plan` cuts them."""
    places = Lines()
    for number in range(lines):
        places.add(number * input_bytes, input_bytes - 1)
    lanes = [Lane("", capacity) for capacity in settings.lane_capacities()]
    found: dict[int, tuple[int, ...]] = {}
    for spec in cut_shards(places, lanes, settings, {0: ""}):
        found[spec.lane] = (*found.get(spec.lane, ()), spec.lines)
    return found


def checkpoints_per_shard(lines: int, output_bytes: int, seconds: float, settings: Settings) -> int:
    """Checkpoints of a shard: one per interval or per `checkpoint_bytes`, and a final one.

    The first interval has a random length, so on average there are as many checkpoints as whole intervals.
    """
    by_time, by_bytes = (
        round(seconds / settings.checkpoint_seconds),
        output_bytes // settings.checkpoint_bytes,
    )
    return min(lines, max(by_time, by_bytes) + 1)
