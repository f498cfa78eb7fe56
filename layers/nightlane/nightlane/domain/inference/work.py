"""What a run does."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nightlane.domain.batch import Batch
from nightlane.domain.inference.lane_shards import Begun
from nightlane.domain.shard import Lane, Manifest


@dataclass(frozen=True, slots=True)
class Work:
    """The shards to run, and how."""

    batch: Batch
    manifest: Manifest
    shards: Iterator[Begun]
    """Begins the shards, each when it is needed; called on another thread."""
    lane: Lane
    lane_number: int
    served: bool = False
    """Whether its upstream has answered a line of the batch."""
    upstream_limit: int | None = None
    """How many requests of all batches together its upstream may get at once."""
    active_until: float = math.inf
    """When the upstream's active hours end, in seconds since 1970."""
    has_more: Callable[[], bool] = lambda: False
    """Returns whether there are shards that no worker has begun; called on another thread."""
    one_by_one: bool = False
    """Whether to record each line before it is sent, because some line crashes its worker."""
