"""Sends the shards of a batch to its lanes."""

import msgspec

from nightlane.domain.batch import Batch
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Manifest, ShardMessage
from nightlane.settings import DispatchSettings


def read_manifest(ports: Ports, batch: Batch) -> Manifest:
    """Return the manifest of a planned batch."""
    assert batch.manifest_key is not None
    return msgspec.json.decode(ports.blobs.get(batch.manifest_key), type=Manifest)


def dispatch(ports: Ports[DispatchSettings], batch: Batch) -> None:
    """Send a message for every unfinished shard. Lanes and epochs make it safe to repeat."""
    manifest = read_manifest(ports, batch)
    finished = {shard.index for shard in ports.batches.shards(batch.id) if shard.finished}
    messages = [
        ShardMessage(batch.id, spec, manifest.input_key, manifest.lane_capacities[spec.lane])
        for spec in manifest.shards
        if spec.index not in finished
    ]
    attempt = batch.dispatches + 1
    ports.queues.send_shards(messages, attempt)
    ports.batches.record_dispatch(batch.id, attempt, int(ports.now()) + ports.settings.stall_seconds)
