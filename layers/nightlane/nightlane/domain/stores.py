"""The stores that the domain uses, implemented on DynamoDB and on SQLite.

A store method is one verb of the domain and one atomic write.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Protocol

import msgspec

from nightlane.domain.admission_order import Slots, Waiting
from nightlane.domain.batch import Batch, BatchError, Outcome
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.handover import DrainStore
from nightlane.domain.keys import ApiKey, Tenants
from nightlane.domain.learned import LearnedLimit
from nightlane.domain.quotas import NO_SIZE, BatchSize
from nightlane.domain.shard import Checkpoint, Shard, Suspicion
from nightlane.domain.shares import Shares
from nightlane.domain.trouble import Rest, Trouble
from nightlane.domain.upstream_use import UpstreamUse


class Fenced(Exception):
    """This worker was replaced, or its batch was closed: it can no longer commit."""


class Admission(Enum):
    """The result of an attempt to admit a batch."""

    ADMITTED = auto()
    FULL = auto()
    TENANT_FULL = auto()
    """The tenant has as many requests in flight as its quota allows."""
    NOT_WAITING = auto()


def list_key(now: float, identifier: str) -> str:
    """Return the sort key in a tenant's list: creation time in milliseconds, then the id."""
    return f"{int(now * 1000):013d}#{identifier}"


class Due(msgspec.Struct, frozen=True):
    """A batch or a file that the sweeper should handle now."""

    batch_id: str | None = None
    file_id: str | None = None


class StepStore(Protocol):
    """The store methods of planning and assembly. `batch` is what the step's `begin_…` method returned."""

    def begin_planning(self, batch_id: str, wake_at: int) -> Batch | None:
        """Take the next epoch of a validating, unplanned batch; None if it is not one."""

    def begin_assembly(self, batch_id: str, wake_at: int) -> Batch | None:
        """Take the next epoch of a closed batch that is not yet terminal; None if it is not one."""

    def hold_step(self, batch: Batch, wake_at: int) -> bool:
        """Postpone the sweeper's redrive; False if a newer epoch began or the status changed."""

    def fail_batch(self, batch: Batch, errors: Sequence[BatchError], at: int) -> bool:
        """validating and unplanned → failed, with its event; False if it is not, or a newer epoch began."""

    def record_plan(
        self,
        batch: Batch,
        *,
        manifest_key: str,
        shards: int,
        total: int,
        model: str | None,
        at: int,
        size: BatchSize = NO_SIZE,
    ) -> bool:
        """Store the plan, after which the batch waits for admission; False as in `fail_batch`.

        Raises:
            QuotaReached: its tenant may not enqueue that many requests or tokens.
        """

    def note_output_problem(self, batch: Batch, problem: str | None) -> None:
        """Record why the results could not be copied, or that they were, unless a newer epoch began."""

    def finish_batch(
        self,
        batch: Batch,
        outcome: Outcome,
        at: int,
        output: StoredFile | None,
        error: StoredFile | None,
        history: str | None = None,
    ) -> bool:
        """Set terminal status, file ids and history, add file records and event, free the slot, atomically.

        What the batch counted against its tenant's quota is given back.

        False if the status changed or a newer epoch began.
        """


class BatchStore(StepStore, DrainStore, Protocol):
    """Batches. Each method is one conditional write. Times are seconds since 1970."""

    def create_batch(self, batch: Batch, wake_at: int) -> Batch | None:
        """Store a new batch. If a batch with this id exists, return that and change nothing.

        Raises:
            QuotaReached: its tenant may create no more batches in this hour.
        """

    def get_batch(self, batch_id: str) -> Batch | None:
        """Return a batch, read consistently."""

    def list_batches(self, tenant: str, after: str | None, limit: int) -> list[Batch]:
        """Return the tenant's batches, newest first, from after a `listed` key."""

    def waiting_batches(self) -> Iterator[Waiting]:
        """Yield the batches waiting for admission, oldest first; some may have been admitted."""

    def slots(self) -> Slots:
        """Return who holds admission slots, read consistently."""

    def admit_batch(
        self, batch: Batch, limit: int, at: int, wake_at: int, *, recent: Sequence[str]
    ) -> Admission:
        """validating → in_progress, if fewer than `limit` batches hold admission slots.

        `recent` replaces the slots' recent tenants.
        """

    def record_dispatch(self, batch_id: str, attempt: int, wake_at: int) -> None:
        """Record that the messages of all lanes were sent in this attempt."""

    def request_cancel(self, batch_id: str, at: int, wake_at: int) -> Batch | None:
        """validating, in_progress or finalizing → cancelling; None if it was in another status."""

    def close_batch(self, batch: Batch, outcome: Outcome, at: int, wake_at: int, *, drained: bool) -> bool:
        """Set the outcome, so that workers can no longer commit.

        False if the status changed, it was already closed, or with `drained` if a shard is not finished.
        """

    def begin_shard(self, shard: Shard, lane: int, forget_at: int | None = None) -> Shard:
        """Take the next epoch of a shard, for a lane, if it is as it was read. It expires at `forget_at`.

        Raises:
            Fenced: another worker began or finished it.
        """

    def get_shard(self, batch_id: str, index: int) -> Shard:
        """Return a shard, read consistently; an empty one if it never began."""

    def shards(self, batch_id: str, first: int = 0) -> Iterator[Shard]:
        """Yield every shard that ever began, in order, from the one with the index `first`."""

    def commit_checkpoint(self, shard: Shard, checkpoint: Checkpoint) -> Shard:
        """Commit a checkpoint and return the updated shard.

        Raises:
            Fenced: another worker began, or the batch was closed.
        """

    def mark_suspect(self, shard: Shard, line: int) -> Shard:
        """Record the line that is about to be run alone.

        Raises:
            Fenced: another worker began.
        """

    def release_shard(self, shard: Shard, suspicions: Mapping[int, Suspicion]) -> None:
        """Clear the strikes and the suspect after an orderly end, unless another worker began.

        The suspicions are stored for the next worker.
        """

    def note_trouble(self, batch_id: str, trouble: Trouble) -> None:
        """Record the upstream's last refusal or failure on an open batch, until a line completes."""

    def rest_batch(self, batch_id: str, wake_at: int) -> bool:
        """Mark a batch as resting: the sweeper sends its lanes again at `wake_at`. False if not running."""

    def forget_shards(self, batch_id: str) -> None:
        """Delete all shards of a terminal batch, if there are any."""

    def record_sweep(self, batch: Batch, progress: int, wake_at: int) -> None:
        """Record the progress that the sweeper saw, and when it should check the batch again."""

    def due(self, now: int) -> Iterator[Due]:
        """Yield the batches and files that the sweeper should handle now."""


class UpstreamState(msgspec.Struct, frozen=True):
    """What all lanes know about an upstream."""

    rest: Rest | None = None
    """The last rest, even if it is over; None if the upstream has answered since."""
    learned: LearnedLimit | None = None


class UpstreamStore(Protocol):
    """The state of an upstream, by its name, that all lanes share."""

    def get_rest(self, upstream: str) -> Rest | None:
        """Return the last rest, even if it is over; None if the upstream has answered since."""

    def begin_rest(self, upstream: str, rest: Rest, previous: Rest | None) -> Rest:
        """Replace the previous rest, unless another lane already has; return the rest that now applies."""

    def get_shares(self, upstream: str) -> Shares:
        """Return how the lanes of all batches share the upstream, read consistently."""

    def put_shares(self, upstream: str, shares: Shares) -> bool:
        """Store the shares; False if they are no longer those of the version before."""

    def end_rest(self, upstream: str) -> None:
        """Record that the upstream answers again."""

    def get_state(self, upstream: str) -> UpstreamState:
        """Return everything that is known about the upstream, with one read."""

    def note_limit(self, upstream: str, learned: LearnedLimit) -> None:
        """Store how much the upstream takes. The latest is kept, and forgotten after a day."""

    def note_use(self, upstream: str, use: UpstreamUse) -> None:
        """Add to what is counted for the hour, and replace the trouble, if there is one."""

    def uses(self, upstream: str, first_hour: int) -> list[UpstreamUse]:
        """Return what was counted from an hour on."""


class PendingFileStore(Protocol):
    """File records whose content is awaited; see `pending_files`. No list has them."""

    def complete_file(self, file: StoredFile) -> bool:
        """pending → complete; False if it is not pending any more, or was deleted."""

    def refuse_file(self, file_id: str, problem: str) -> bool:
        """Record why the content of a pending file was refused; False as in `complete_file`."""


class FileStore(PendingFileStore, Protocol):
    """File records."""

    def put_file(self, file: StoredFile, max_stored_bytes: int | None = None) -> None:
        """Store a new record, and count its size if it `is_counted`.

        Raises:
            QuotaReached: the tenant's counted files would have more than `max_stored_bytes`.
        """

    def add_file(self, file: StoredFile, max_stored_bytes: int | None = None) -> bool:
        """Store a record, unless there is or was one with this id; False then.

        Counts it and raises as `put_file` does.
        """

    def get_file(self, file_id: str, *, deleted: bool = False) -> StoredFile | None:
        """Return a file; None if it is unknown, or was deleted and `deleted` is false."""

    def list_position(self, file_id: str, tenant: str) -> str | None:
        """Return the `listed` key of a file of the tenant, even if it was deleted recently."""

    def list_files(
        self,
        tenant: str,
        purposes: Sequence[FilePurpose],
        after: str | None,
        limit: int,
        now: float,
        *,
        newest_first: bool,
    ) -> list[StoredFile]:
        """Return the tenant's files, neither deleted nor expired, in order of and after a `listed` key."""

    def delete_file(self, file: StoredFile, at: int) -> bool:
        """Replace a file by a tombstone, so that cursors stay valid.

        False if it was already deleted, or is no longer pending as it was when it was read.
        """

    def forget_file(self, file_id: str) -> None:
        """Stop waking the sweeper for a deleted file, once its object is deleted."""


class KeyStore(Tenants, Protocol):
    """API keys, stored under their SHA-256."""

    def tenant_of(self, secret: str) -> str | None:
        """Return the tenant of a key; None if the key is unknown."""

    def create_key(self, key: ApiKey) -> None:
        """Store a key; one that exists is left unchanged."""

    def list_keys(self, tenant: str | None = None, digits: str = "") -> Iterator[ApiKey]:
        """Return the keys whose SHA-256 begins with `digits`, by tenant and time."""

    def revoke_key(self, key: ApiKey) -> bool:
        """Remove a key; False if it does not exist."""
