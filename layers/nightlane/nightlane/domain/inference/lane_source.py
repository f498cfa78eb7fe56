"""Where the lines of a lane come from: the shards that it begins, read from the batch's input."""

from collections.abc import Iterator

from nightlane.domain.inference.lane_lines import LaneLines
from nightlane.domain.inference.lines import unfinished_lines
from nightlane.domain.inference.open_shards import OpenShard, OpenShards
from nightlane.domain.inference.work import Work
from nightlane.domain.ports import Ports


def lines_of(ports: Ports, work: Work, shards: OpenShards) -> LaneLines:
    """Return the unfinished lines of the shards that `work` begins; each shard is opened in `shards`."""

    def open_next() -> OpenShard | None:
        if (begun := next(work.shards, None)) is None:
            return None
        spec, shard = begun
        return shards.open(spec, spec.numbers, shard)

    def read(shard: OpenShard) -> Iterator[tuple[int, bytes]]:
        return unfinished_lines(ports.blobs, work.manifest.input_key, shard.spec, shard.journal.done)

    return LaneLines(work.batch.id, open_next, read)
