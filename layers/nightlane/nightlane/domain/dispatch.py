"""Sends a batch to its lanes."""

from collections.abc import Iterator

import msgspec

from nightlane.domain.batch import Batch
from nightlane.domain.ports import Ports
from nightlane.domain.shard import LaneMessage, Manifest, Shard, ShardSpec, lane_of
from nightlane.settings import DispatchSettings


def read_manifest(ports: Ports, batch: Batch) -> Manifest:
    """Return the manifest of a planned batch."""
    assert batch.manifest_key is not None
    return msgspec.json.decode(ports.blobs.get(batch.manifest_key), type=Manifest)


def unfinished_shards(ports: Ports, batch: Batch, manifest: Manifest) -> Iterator[tuple[ShardSpec, Shard]]:
    """Yield the shards of a planned batch that are not finished, in order, each as it is stored."""
    stored = {shard.index: shard for shard in ports.batches.shards(batch.id)}
    for spec in manifest.shards:
        shard = stored.get(spec.index) or Shard(batch_id=batch.id, index=spec.index)
        if not shard.finished:
            yield spec, shard


def dispatch(ports: Ports[DispatchSettings], batch: Batch) -> None:
    """Send a message for every lane that has an unfinished shard. Lanes and epochs make it safe to repeat."""
    unfinished = unfinished_shards(ports, batch, read_manifest(ports, batch))
    lanes = {lane_of(spec, shard) for spec, shard in unfinished}
    attempt = batch.dispatches + 1
    ports.queues.send_lanes([LaneMessage(batch.id, lane) for lane in sorted(lanes)], attempt)
    ports.batches.record_dispatch(batch.id, attempt, int(ports.now()) + ports.settings.stall_seconds)
