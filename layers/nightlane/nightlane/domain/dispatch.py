"""Sends the shards of an admitted batch to its lanes."""

import msgspec

from nightlane.domain.batch import Batch
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Manifest, ShardMessage
from nightlane.settings import DispatchSettings


def read_manifest(ports: Ports, batch: Batch) -> Manifest:
    """How a planned batch was cut."""
    assert batch.manifest_key is not None
    return msgspec.json.decode(ports.blobs.get(batch.manifest_key), type=Manifest)


def dispatch(ports: Ports[DispatchSettings], batch: Batch) -> None:
    """One message for every shard that has not ended. A repeat is harmless: lanes and epochs hold."""
    manifest = read_manifest(ports, batch)
    ended = {shard.index for shard in ports.batches.shards(batch.id) if shard.finished}
    messages = [
        ShardMessage(batch.id, spec, manifest.input_key, manifest.lane_capacities[spec.lane])
        for spec in manifest.shards
        if spec.index not in ended
    ]
    attempt = batch.dispatches + 1
    ports.queues.send_shards(messages, attempt)
    ports.batches.record_dispatch(batch.id, attempt, int(ports.now()) + ports.settings.stall_seconds)
