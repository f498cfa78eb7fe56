"""The shards that a lane runs: those it began, those planned for it, then those that no lane has begun."""

from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from nightlane.domain.batch import NO_USAGE, Batch
from nightlane.domain.dispatch import unfinished_shards
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Checkpoint, Manifest, Shard, ShardSpec, lane_of
from nightlane.domain.stores import Fenced

# Consecutive workers that died before lines are run one by one.
STRIKES_BEFORE_ONE_BY_ONE = 4
# A shard's item expires this long after its batch, in case the batch could not delete it.
SHARD_RETENTION_SECONDS = 7 * 86_400

Begun = tuple[ShardSpec, Shard]


class LaneShards:
    """Begins the shards of a lane, one after the other. Not thread-safe; every method waits for the store.

    Args:
        is_held: returns whether this worker still holds the lane's message.
        are_draining: returns whether earlier workers of the lane are still at work on what they have begun.
    """

    def __init__(
        self,
        ports: Ports,
        batch: Batch,
        manifest: Manifest,
        lane: int,
        is_held: Callable[[], bool],
        are_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ports = ports
        self._batch = batch
        self._manifest = manifest
        self._lane = lane
        self._is_held = is_held
        self._are_draining = are_draining
        self._begun: set[int] = set()
        self._upstream = manifest.lanes[lane].upstream
        left = self._read()
        planned = sum(map(self._is_for_upstream, manifest.shards))
        self.has_results = len(left) < planned or any(shard.parts for _, shard in left)
        """Some line for the lane's upstream has its result."""
        self._left = deque(each for each in self._unfinished(left) if lane_of(*each) == lane)

    def begin_poisoned(self) -> Begun | None:
        """Begin a shard whose lines must run one by one, as one crashes workers; None if there is none."""
        for spec, shard in list(self._left):
            if _is_poisoned(shard):
                self._left.remove((spec, shard))
                return spec, self._begin(spec, shard)
        return None

    def begin_next(self) -> Begun | None:
        """Begin the next shard; None if there is none that this lane may run.

        Raises:
            Fenced: another worker may have this lane's message.
        """
        while True:
            if not self._left:
                self._left.extend(self._unfinished(self._read()))
                if not self._left:
                    return None
            spec, shard = self._left.popleft()
            try:
                return spec, self._begin(spec, shard)
            except Fenced:
                # Another lane was faster, or the response to an earlier attempt was lost.
                if not self._is_held():
                    raise

    def has_more(self) -> bool:
        """Return whether there are shards that no worker has begun."""
        return any(shard.lane is None for _, shard in self._read())

    def finish_all(self) -> None:
        """Finish what is left of this lane without running it, because the batch is being cancelled.

        Raises:
            Fenced: the batch was closed, or another worker has this lane's message.
        """
        nothing = Checkpoint(
            part=None, done=b"", completed=0, failed=0, usage=NO_USAGE, model=None, finished=True
        )
        for spec, shard in self._unfinished(self._read()):
            if lane_of(spec, shard) == self._lane:
                begun = self._begin(spec, shard)
                self._ports.batches.commit_checkpoint(
                    begun, replace(nothing, done=begun.done, suspicions=begun.suspicions)
                )

    def _read(self) -> list[Begun]:
        """Return the unfinished shards of the lane's upstream."""
        unfinished = unfinished_shards(self._ports, self._batch, self._manifest)
        return [(spec, shard) for spec, shard in unfinished if self._is_for_upstream(spec)]

    def _unfinished(self, left: list[Begun]) -> list[Begun]:
        """Return the shards that this lane may begin: its own, then those planned for it, then any others."""
        mine = (None,) if self._are_draining() else (self._lane, None)
        found = [
            (spec, shard) for spec, shard in left if spec.index not in self._begun and shard.lane in mine
        ]
        return sorted(found, key=lambda each: (each[1].lane is None, each[0].lane != self._lane))

    def _is_for_upstream(self, spec: ShardSpec) -> bool:
        return self._manifest.lanes[spec.lane].upstream == self._upstream

    def _begin(self, spec: ShardSpec, shard: Shard) -> Shard:
        # Checked after the shard was read: a worker that was replaced before then must not begin it.
        if not self._is_held():
            raise Fenced(f"lane {self._lane} of {self._batch.id}")
        forget_at = self._batch.expires_at + SHARD_RETENTION_SECONDS
        begun = self._ports.batches.begin_shard(shard, self._lane, forget_at)
        self._begun.add(spec.index)
        return begun


def _is_poisoned(shard: Shard) -> bool:
    return shard.strikes >= STRIKES_BEFORE_ONE_BY_ONE - 1 or shard.suspect is not None
