"""The invariants at every write and at the end, checked without making any AWS calls that count."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.dispatch import read_manifest
from nightlane.domain.order import decode_order
from nightlane.domain.ports import Ports
from nightlane.domain.shard import DoneLines, Manifest, Shard
from nightlane.settings import Settings
from tests.faults.hostile import HostileUpstream
from tests.faults.stored import Stored

EDGES = {
    ("validating", "failed"),
    ("validating", "in_progress"),
    ("validating", "cancelling"),
    ("validating", "expired"),
    ("in_progress", "finalizing"),
    ("in_progress", "cancelling"),
    ("finalizing", "completed"),
    ("finalizing", "expired"),
    ("finalizing", "cancelling"),
    ("cancelling", "cancelled"),
}
TIMES = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
# Time for failed commits and the pauses after them, in addition to a checkpoint's interval.
COMMIT_SECONDS = 15.0
NEVER_RUN = ("batch_expired", "batch_cancelled")


class Watch:
    """Checks every state of every batch, and every request to the upstream."""

    def __init__(
        self,
        ports: Ports[Settings],
        upstream: HostileUpstream,
        stored: Stored,
        commit_seconds: float = COMMIT_SECONDS,
    ) -> None:
        self.batches: list[str] = []
        self.lines: dict[str, int] = {}
        """The number of lines of each input file."""
        self.culprits: set[str] = set()
        """Lines that may end as errors, as `file/number`, besides the second one of each file."""
        self.died_at: dict[int, float] = {}
        """When a worker crashed or was frozen."""
        self.ports = ports
        self.stored = stored
        self._commit_seconds = commit_seconds
        self._upstream = upstream
        self._seen: dict[str, Batch] = {}
        self._parts: dict[tuple[str, int], tuple[int, int]] = {}
        self._manifests: dict[str, Manifest] = {}
        self._numbers: dict[tuple[str, int], Sequence[int]] = {}
        upstream.on_asked_again = self._check_paid_twice

    def look(self) -> None:
        """Check the edges of the status machine, and record what is committed."""
        for batch_id in self.batches:
            batch = self.stored.batch(batch_id)
            if batch is None:
                continue
            before = self._seen.get(batch_id)
            if before is not None:
                self._check_step(before, batch)
            self._seen[batch_id] = batch
            self._note_commits(batch)
        if self.stored.running() > self.ports.settings.max_concurrent_batches:
            self._upstream.violations.append("more batches are admitted than allowed")

    def _check_step(self, before: Batch, after: Batch) -> None:
        if before.status != after.status and (before.status.value, after.status.value) not in EDGES:
            self._upstream.violations.append(f"{before.status} became {after.status}")
        for name in ("validated_at", *TIMES):
            if getattr(before, name) not in (None, getattr(after, name)):
                self._upstream.violations.append(f"{name} changed")
        if before.status.is_terminal and before != after:
            self._upstream.violations.append("a batch changed after its end")

    def _note_commits(self, batch: Batch) -> None:
        if not batch.is_planned or batch.status.is_terminal:
            return
        mark = batch.request.input_file_id
        for shard in self.stored.shards(batch.id):
            self._check_fence(batch.id, shard)
            self._upstream.committed |= {(mark, line) for line in self.finished_lines(batch, shard)}

    def finished_lines(self, batch: Batch, shard: Shard) -> Iterator[int]:
        """The numbers in the input of a shard's finished lines."""
        spec = self.manifest(batch).shards[shard.index]
        if (batch.id, shard.index) not in self._numbers:
            order_key = self.manifest(batch).order_key
            order = decode_order(self.ports.blobs.get(order_key)) if order_key else range(batch.total)
            sent = order[spec.first_line : spec.first_line + spec.lines]
            numbers = self._lines_of(batch)
            self._numbers[batch.id, shard.index] = [numbers[number] for number in sent]
        done = DoneLines(spec.lines, shard.done)
        numbered = enumerate(self._numbers[batch.id, shard.index])
        return (number for line, number in numbered if line in done)

    def manifest(self, batch: Batch) -> Manifest:
        """How a planned batch was cut."""
        if batch.id not in self._manifests:
            self._manifests[batch.id] = read_manifest(self.ports, batch)
        return self._manifests[batch.id]

    def _check_fence(self, batch_id: str, shard: Shard) -> None:
        """Check that no part of a replaced worker appears."""
        known, epoch = self._parts.get((batch_id, shard.index), (0, 0))
        for part in shard.parts[known:]:
            if int(part.key.rsplit("/", 1)[1].split("-")[0]) < epoch:
                self._upstream.violations.append(f"a replaced worker wrote {part.key}")
        self._parts[batch_id, shard.index] = (len(shard.parts), shard.epoch)

    def _check_paid_twice(self, key: str, worker: int, answered_at: float) -> None:
        """Check that an answer is lost only if its worker died within a checkpoint interval."""
        interval = self.ports.settings.checkpoint_seconds + self._commit_seconds
        if worker not in self.died_at:
            self._upstream.violations.append(f"{key} was sent again after an answer, but no worker died")
        elif self.died_at[worker] - answered_at > interval:
            self._upstream.violations.append(f"{key} was paid for again after its checkpoint interval")

    def check_batch(self, batch: Batch, poisoned: int) -> None:
        """Check that every line is answered once, counts and sizes match, and no good line is blamed."""
        name, lines = batch.request.input_file_id, self._lines_of(batch)
        assert batch.status.is_terminal
        self.stored.check_leftovers(batch.id)
        output, errors = self.read(batch.output_file_id), self.read(batch.error_file_id)
        if batch.status is BatchStatus.FAILED or batch.total == 0:
            assert (output, errors) == ([], [])
            return
        found = [[int(line["custom_id"].split("-")[1]) for line in file] for file in (output, errors)]
        assert all(numbers == sorted(numbers) for numbers in found), "not in input order"
        assert sorted(found[0] + found[1]) == list(lines)
        failed = [line for line in errors if line["response"] or line["error"]["code"] not in NEVER_RUN]
        assert (len(output), len(failed)) == (batch.completed, batch.failed)
        assert batch.usage.total_tokens == 2 * batch.completed
        assert (batch.output_file_id is None) == (not output)
        self._check_blame(name, failed, poisoned)
        if batch.status is BatchStatus.COMPLETED:
            assert batch.completed + batch.failed == len(lines)

    def _lines_of(self, batch: Batch) -> Sequence[int]:
        """The numbers of a batch's lines in its input file."""
        if batch.request.retry_of is None:
            return range(self.lines[batch.request.input_file_id])
        earlier = self.stored.batch(batch.request.retry_of)
        assert earlier is not None
        return [int(line["custom_id"].split("-")[1]) for line in self.read(earlier.error_file_id)]

    def _check_blame(self, name: str, failed: Sequence[dict[str, Any]], poisoned: int) -> None:
        blamed = {int(line["custom_id"].removeprefix("request-")) for line in failed}
        culprits = {int(key.split("/")[1]) for key in self.culprits if key.startswith(f"{name}/")}
        assert len(blamed - culprits - {1}) <= poisoned, f"blamed: {failed}"

    def read(self, file_id: str | None) -> list[dict[str, Any]]:
        """Return a result file's lines, after checking its size against its record."""
        if file_id is None:
            return []
        file = self.ports.files.get_file(file_id)
        assert file is not None
        data = self.ports.blobs.get(file.blob_key)
        assert len(data) == file.size
        return [json.loads(line) for line in data.splitlines()]
