"""Divides the lines of a batch into shards, and the shards among lanes."""

import heapq
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nightlane.api_settings import LaneSettings, ShardSettings
from nightlane.domain.lines import Lines
from nightlane.domain.shard import Lane, ShardSpec

# Each shard has this fraction of a lane's share of the lines that are left. Known as factoring:
# https://doi.org/10.1145/135226.135232
SHARDS_LEFT_PER_LANE = 2


def lanes_to(
    settings: LaneSettings, upstreams: Container[str], max_in_flight: int | None = None
) -> tuple[Lane, ...]:
    """Return the lanes of a batch with lines for these upstreams. Each upstream has lanes of its own.

    The batch may have at most `max_in_flight` requests in flight at each of them.
    """
    return tuple(
        Lane(upstream.name, capacity)
        for upstream in settings.upstreams
        if upstream.name in upstreams
        for capacity in settings.lane_capacities(upstream.max_concurrent_requests, max_in_flight)
    )


def cut_shards(
    lines: Lines, lanes: Sequence[Lane], settings: ShardSettings, routes: Mapping[int, str]
) -> tuple[ShardSpec, ...]:
    """Return runs of lines within the limits of a shard, each on the lane with the least work.

    `routes` has the positions at which a shard must begin, and the upstream of the lines from there on. With
    several lanes to an upstream each run is a share of what is left for it. The last ones are small, and a
    lane with nothing left takes some over, so that all lanes end at about the same time.
    """
    cuts = {name: _Cuts.of(name, lanes) for name in routes.values()}
    starts = [*sorted(routes), len(lines)]
    for first, end in pairwise(starts):
        cuts[routes[first]].left += end - first
    shards: list[ShardSpec] = []
    for first, last in pairwise(starts):
        cut = cuts[routes[first]]
        while first < last:
            max_lines = min(settings.shard_max_lines, cut.max_lines())
            end = first + 1
            while (
                end < last
                and end - first < max_lines
                and lines.ends[end] - lines.starts[first] <= settings.shard_max_bytes
            ):
                end += 1
            place = lines.starts[first], lines.ends[end - 1]
            shards.append(ShardSpec(len(shards), cut.assign(end - first), *place, first, end - first))
            first = end
    return tuple(shards)


@dataclass(slots=True)
class _Cuts:
    """How far the lines for one upstream have been cut."""

    lanes: list[tuple[float, int, int]]
    """A heap: how long the lines of a lane take, in line times; the lane; its capacity."""
    left: int = 0
    """Lines that are not in a shard yet."""

    @classmethod
    def of(cls, upstream: str, lanes: Sequence[Lane]) -> "_Cuts":
        return cls(
            [(0.0, number, lane.capacity) for number, lane in enumerate(lanes) if lane.upstream == upstream]
        )

    def max_lines(self) -> int:
        """Return how many lines the next shard may have."""
        if len(self.lanes) == 1:
            return self.left
        smallest = max(1, min(capacity for _, _, capacity in self.lanes) // 2)
        return max(smallest, math.ceil(self.left / (len(self.lanes) * SHARDS_LEFT_PER_LANE)))

    def assign(self, count: int) -> int:
        """Return the lane for the next `count` lines."""
        self.left -= count
        load, lane, capacity = self.lanes[0]
        heapq.heapreplace(self.lanes, (load + count / capacity, lane, capacity))
        return lane
