"""What the domain asks of the world. The AWS room fulfils these; a store method is one verb."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from nightlane.domain.batch import Batch, BatchError, Outcome
from nightlane.domain.file import FilePurpose, StoredFile
from nightlane.domain.keys import ApiKey
from nightlane.domain.metrics import Meter
from nightlane.domain.received import Received
from nightlane.domain.shard import Checkpoint, Shard, ShardMessage, Suspicion
from nightlane.domain.trouble import Rest, Trouble
from nightlane.settings import SettingsGroup


class Fenced(Exception):
    """This worker was replaced, or its batch was closed: nothing it has may be committed."""


class BlobMissing(Exception):
    """There is no object at that key."""


class Admission(Enum):
    """The answer to one attempt to admit a batch."""

    ADMITTED = auto()
    FULL = auto()
    NOT_WAITING = auto()


def list_key(now: float, identifier: str) -> str:
    """Sort key of a tenant's list: creation in milliseconds, then the id."""
    return f"{int(now * 1000):013d}#{identifier}"


@dataclass(frozen=True, slots=True)
class Due:
    """Something whose time to be looked at has come."""

    batch_id: str | None = None
    file_id: str | None = None


class StepStore(Protocol):
    """Planning and assembly: `batch` is as `begin_planning` or `begin_assembly` answered it."""

    def begin_planning(self, batch_id: str, wake_at: int) -> Batch | None:
        """Take the next epoch of a batch that is validating, unplanned; None if it is not."""

    def begin_assembly(self, batch_id: str, wake_at: int) -> Batch | None:
        """Take the next epoch of a batch that is closed and has not ended; None if it is not."""

    def hold_step(self, batch: Batch, wake_at: int) -> bool:
        """Set when the sweeper looks next; False if another began, or the status is another."""

    def fail_batch(self, batch: Batch, errors: Sequence[BatchError], at: int) -> bool:
        """validating, unplanned → failed; False if it was neither, or another began."""

    def record_plan(
        self, batch: Batch, *, manifest_key: str, shards: int, total: int, model: str | None
    ) -> bool:
        """Planned: from now on the batch waits for admission; False as of `fail_batch`."""

    def finish_batch(
        self, batch: Batch, outcome: Outcome, at: int, output: StoredFile | None, error: StoredFile | None
    ) -> bool:
        """Terminal status, file ids, file records and the free admission slot, in one write.

        False if the status is another, or another began.
        """


class BatchStore(StepStore, Protocol):
    """Batches, each verb one conditional write. Times are seconds since 1970."""

    def create_batch(self, batch: Batch, wake_at: int) -> Batch | None:
        """Put a new batch; answers the batch that already has this id, if there is one."""

    def get_batch(self, batch_id: str) -> Batch | None:
        """Read consistently."""

    def list_batches(self, tenant: str, after: str | None, limit: int) -> list[Batch]:
        """The tenant's batches, newest first, after the `listed` key of a batch."""

    def waiting_batches(self) -> Iterator[str]:
        """Ids of the planned batches that wait, oldest first. May hold some that wait no more."""

    def admit_batch(self, batch: Batch, limit: int, at: int, wake_at: int) -> Admission:
        """validating → in_progress, if fewer than `limit` batches are admitted."""

    def record_dispatch(self, batch_id: str, attempt: int, wake_at: int) -> None:
        """Every shard's message of this attempt was sent."""

    def request_cancel(self, batch_id: str, at: int, wake_at: int) -> Batch | None:
        """validating, in_progress, finalizing → cancelling; None if it was none of these."""

    def close_batch(self, batch: Batch, outcome: Outcome, at: int, wake_at: int, *, drained: bool) -> bool:
        """Shut out the workers; with `drained` only if every shard has ended. False if not so."""

    def begin_shard(self, batch_id: str, index: int, forget_at: int | None = None) -> Shard:
        """Take the next epoch; a finished shard is returned as it is. Its item may go at `forget_at`."""

    def get_shard(self, batch_id: str, index: int) -> Shard:
        """Read consistently; a shard that never began is answered empty."""

    def shards(self, batch_id: str) -> Iterator[Shard]:
        """Every shard that ever began."""

    def commit_checkpoint(self, shard: Shard, checkpoint: Checkpoint) -> Shard:
        """Commit; answers the shard as it now is.

        Raises:
            Fenced: another worker began, or the batch was closed.
        """

    def mark_suspect(self, shard: Shard, line: int) -> Shard:
        """Note the line that is about to be run alone.

        Raises:
            Fenced: another worker began.
        """

    def release_shard(self, shard: Shard, suspicions: Mapping[int, Suspicion]) -> None:
        """An orderly end: clears the strikes and the suspect, if no other worker began.

        What the run holds against lines is kept for the next one.
        """

    def note_trouble(self, batch_id: str, trouble: Trouble) -> None:
        """What the upstream last said to an open batch; the next line that completes clears it."""

    def rest_batch(self, batch_id: str, wake_at: int) -> bool:
        """Its messages are given up: the sweeper sends its shards again then. False if it is not running."""

    def forget_shards(self, batch_id: str) -> None:
        """Delete every shard of a batch that has ended; there may be none."""

    def record_sweep(self, batch: Batch, progress: int, wake_at: int) -> None:
        """Set when the sweeper looks next, and what it saw."""

    def due(self, now: int) -> Iterator[Due]:
        """Batches and files whose time to be looked at has come."""

    def admitted_batches(self) -> frozenset[str]:
        """The holders of the admission slots."""


class UpstreamStore(Protocol):
    """What all lanes know of an upstream, by its URL."""

    def get_rest(self, upstream: str) -> Rest | None:
        """The rest that was agreed last, over or not; None if the upstream has answered since."""

    def begin_rest(self, upstream: str, rest: Rest, previous: Rest | None) -> Rest:
        """Agree on a rest in place of the previous one; returns the one that holds, maybe another's."""

    def end_rest(self, upstream: str) -> None:
        """The upstream answers again."""


class FileStore(Protocol):
    """File records."""

    def put_file(self, file: StoredFile) -> None:
        """Store a new record."""

    def get_file(self, file_id: str, *, deleted: bool = False) -> StoredFile | None:
        """None also for a deleted file, unless those are asked for."""

    def list_position(self, file_id: str, tenant: str) -> str | None:
        """The `listed` key of a file of the tenant, also of one deleted a while ago."""

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
        """The tenant's files that live, in the order of their `listed` keys, after a key."""

    def delete_file(self, file: StoredFile, at: int) -> bool:
        """Leaves a tombstone, so that cursors hold; False if it was deleted before."""

    def forget_file(self, file_id: str) -> None:
        """The object is gone: stop waking for it."""


class Tenants(Protocol):
    """Who has which API key."""

    def tenant_of(self, secret: str) -> str | None:
        """The owner of a key; None if nobody has it."""


class KeyStore(Tenants, Protocol):
    """API keys, by the SHA-256 of each."""

    def create_key(self, key: ApiKey) -> None:
        """Store a key; one that exists stays as it is."""

    def list_keys(self, tenant: str | None = None, digits: str = "") -> Iterator[ApiKey]:
        """The keys whose SHA-256 begins with the digits, by tenant and time."""

    def revoke_key(self, key: ApiKey) -> bool:
        """Remove a key; False if there is none any more."""


class BlobWriter(Protocol):
    """Writes one object in constant memory; visible once the context closes well, if not empty."""

    def write(self, data: bytes) -> None: ...

    @property
    def size(self) -> int:
        """Bytes written so far."""


class Blobs(Protocol):
    """Objects by key."""

    def put(self, key: str, data: bytes) -> None: ...

    def put_received(self, key: str, content: Received) -> None:
        """Store what a client sent; a file that it is in may be taken, not copied."""

    def get(self, key: str) -> bytes:
        """Raises: BlobMissing."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The object, or bytes `start` to `end` (exclusive) of it, in chunks of bounded size.

        Raises:
            BlobMissing: with the first chunk.
        """

    def copy(self, source: str, target: str) -> int:
        """Copy within the store; answers the size in bytes. Raises: BlobMissing."""

    def writer(self, key: str) -> AbstractContextManager[BlobWriter]: ...

    def delete(self, keys: Iterable[str]) -> None:
        """Deleting what is not there is no error."""

    def presigned_get(self, key: str, filename: str, seconds: int) -> str:
        """A URL anyone may read the object with for so long."""


class Queues(Protocol):
    """The three queues."""

    def send_plan(self, batch_id: str) -> None: ...

    def send_shards(self, messages: Sequence[ShardMessage], attempt: int) -> None:
        """One FIFO message a shard, group = lane of the batch; all are sent or it raises."""

    def send_assemble(self, batch_id: str) -> None: ...


class UpstreamModels(Protocol):
    """The model list of the upstream."""

    def model_ids(self) -> frozenset[str] | None:
        """None when the upstream cannot tell."""

    def list_models(self) -> dict[str, Any]:
        """As the upstream tells it. Raises: UpstreamError."""

    def retrieve_model(self, model: str) -> dict[str, Any]:
        """As the upstream tells it. Raises: UpstreamError, NotFound."""


class Log(Protocol):
    """Where an operator reads what happened."""

    def __call__(self, event: str, **details: object) -> None: ...


Declared = TypeVar("Declared", bound=SettingsGroup, covariant=True, default=SettingsGroup)


@dataclass(frozen=True, slots=True)
class Ports(Generic[Declared]):
    """Everything a domain function may touch.

    A function that takes `Ports[ClosingSettings]` reads the settings of that group, directly or through what
    it calls; a function that takes plain `Ports` reads none.
    """

    batches: BatchStore
    upstreams: UpstreamStore
    files: FileStore
    blobs: Blobs
    queues: Queues
    metrics: Meter
    log: Log
    now: Callable[[], float]
    """Seconds since 1970."""
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    """32 hexadecimal digits nobody can guess."""
    settings: Declared
