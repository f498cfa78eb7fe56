"""dead_letters: handles messages that failed too often, so that their batches still end."""

from contextlib import suppress

from nightlane.api_settings import StepSettings
from nightlane.domain.batch import BatchError
from nightlane.domain.closing import close_if_due
from nightlane.domain.dispatch import read_manifest, unfinished_shards
from nightlane.domain.inference.journal import save_results
from nightlane.domain.inference.lines import line_of
from nightlane.domain.inference.results import unanswered
from nightlane.domain.lines import LineError, request_lines
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports
from nightlane.domain.shard import DoneLines, LaneMessage, Manifest, Shard, ShardSpec, lane_of
from nightlane.domain.steps import redrive_at
from nightlane.domain.stores import Fenced
from nightlane.domain.webhook_delivery import announce
from nightlane.settings import ClosingSettings


def fail_plan(ports: Ports[StepSettings], batch_id: str) -> None:
    """Fail a batch that could not be planned, unless it was planned after all."""
    error = BatchError("server_error", "The input file could not be validated. Please try again.")
    batch = ports.batches.begin_planning(batch_id, redrive_at(ports))
    if batch is not None and ports.batches.fail_batch(batch, [error], int(ports.now())):
        announce(ports, batch.id)
        ports.metrics.add(Metric.BATCHES_FAILED)


def fail_assembly(ports: Ports[ClosingSettings], batch_id: str) -> None:
    """Close the batch if it is due. The sweeper retries the assembly, because results must not be lost."""
    close_if_due(ports, batch_id)


def fail_step(ports: Ports[ClosingSettings], batch_id: str) -> None:
    """Handle a message to plan or to assemble, which look alike: at most one of these applies."""
    fail_plan(ports, batch_id)
    fail_assembly(ports, batch_id)


def fail_lane(ports: Ports[ClosingSettings], message: LaneMessage) -> None:
    """Write error lines for the lines that the lane could not run, so that the batch still ends."""
    batch = ports.batches.get_batch(message.batch_id)
    if batch is None or not batch.is_open:
        return
    manifest = read_manifest(ports, batch)
    for spec, shard in unfinished_shards(ports, batch, manifest):
        if lane_of(spec, shard) == message.lane:
            with suppress(Fenced):
                _fail_shard(ports, manifest, spec, ports.batches.begin_shard(shard, message.lane))
    close_if_due(ports, message.batch_id)


def _fail_shard(ports: Ports, manifest: Manifest, spec: ShardSpec, shard: Shard) -> None:
    done = DoneLines(spec.lines, shard.done)
    lines = request_lines(ports.blobs.stream(manifest.input_key, spec.start, spec.end))
    results = [
        unanswered(line_of(shard.batch_id, spec.numbers, number, line), LineError.UNDELIVERABLE)
        for number, line in done.missing(lines)
    ]
    save_results(ports, shard, done, results, finished=True)
