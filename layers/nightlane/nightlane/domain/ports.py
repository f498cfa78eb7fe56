"""The interfaces that the domain uses, implemented on AWS and on a single machine; see `stores`, too."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import msgspec
from typing_extensions import TypeVar

from nightlane.domain.compositions import Compositions
from nightlane.domain.metrics import Meter
from nightlane.domain.quotas import QuotaStore
from nightlane.domain.received import Received
from nightlane.domain.s3_locations import S3Objects
from nightlane.domain.shard import LaneMessage
from nightlane.domain.stores import BatchStore, FileStore, UpstreamStore
from nightlane.domain.upload_store import UploadStore
from nightlane.domain.webhook_ports import Webhooks
from nightlane.settings_group import SettingsGroup


class BlobMissing(Exception):
    """The object does not exist."""


class BlobWriter(Protocol):
    """Writes an object in constant memory. It appears when the context exits normally, unless empty."""

    def write(self, data: bytes) -> None: ...

    @property
    def size(self) -> int:
        """Bytes written so far."""


class ScatterWriter(Protocol):
    """Writes the pieces of an object in any order, in constant memory. It appears when the context exits."""

    def write_at(self, start: int, data: bytes) -> None:
        """Write a piece at its place in the object."""


class PresignedPut(msgspec.Struct, frozen=True):
    """A URL to PUT one object to, until `expires_at`, in seconds since 1970."""

    url: str
    """A path, if the server that issued it takes the request."""
    size: int
    """In bytes."""
    expires_at: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request: the URL is for this size, and for an object that does not exist."""
        return {
            "Content-Length": str(self.size),
            "Content-Type": "application/octet-stream",
            "If-None-Match": "*",
        }


class Blobs(Protocol):
    """Objects by key."""

    def put(self, key: str, data: bytes) -> None: ...

    def put_received(self, key: str, content: Received) -> None:
        """Store an upload. If it is in a file, the file may be moved instead of copied."""

    def get(self, key: str) -> bytes:
        """Raises: BlobMissing."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the object, or its bytes from `start` to `end` (exclusive), in chunks of bounded size.

        Raises:
            BlobMissing: when the first chunk is read.
        """

    def size(self, key: str) -> int:
        """Return the size of an object in bytes. Raises: BlobMissing."""

    def copy(self, source: str, target: str) -> int:
        """Copy an object and return its size in bytes. Raises: BlobMissing."""

    def writer(self, key: str) -> AbstractContextManager[BlobWriter]: ...

    def scatter_writer(self, key: str) -> AbstractContextManager[ScatterWriter]: ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects that exist."""

    def presigned_get(self, key: str, filename: str, seconds: int) -> str:
        """Return a URL that gives anyone access to the object for a number of seconds."""

    def presigned_put(self, key: str, size: int, seconds: int) -> PresignedPut:
        """Return where anyone may store the object, with exactly `size` bytes, unless it exists."""


class Queues(Protocol):
    """The four queues."""

    def send_plan(self, batch_id: str) -> None: ...

    def send_lanes(self, messages: Sequence[LaneMessage], attempt: int) -> None:
        """Send one FIFO message per lane, each in a message group of its own. Raises if any is not sent."""

    def send_assemble(self, batch_id: str) -> None: ...

    def send_event(self, event_id: str) -> None: ...


class UpstreamModels(Protocol):
    """The models of the upstream. It decides which ones it serves: its list is a hint."""

    def is_missing(self, model: str) -> bool:
        """Whether the upstream itself says that it has no such model; False if it does not say."""

    def list_models(self) -> dict[str, Any]:
        """Return OpenAI's list of models. Raises: UpstreamError."""

    def retrieve_model(self, model: str) -> dict[str, Any]:
        """Return OpenAI's model object. Raises: UpstreamError, NotFound."""


class Log(Protocol):
    """Writes a log entry for the operator."""

    def __call__(self, event: str, **details: object) -> None: ...


Declared = TypeVar("Declared", bound=SettingsGroup, covariant=True, default=SettingsGroup)


@dataclass(frozen=True, slots=True)
class Ports(Generic[Declared]):
    """Everything outside the domain that its functions may use.

    A function that takes `Ports[ClosingSettings]` reads settings of that group, directly or through the
    functions it calls; a function that takes plain `Ports` reads none.
    """

    batches: BatchStore
    upstreams: UpstreamStore
    files: FileStore
    uploads: UploadStore
    quotas: QuotaStore
    blobs: Blobs
    compositions: Compositions
    queues: Queues
    webhooks: Webhooks
    metrics: Meter
    log: Log
    now: Callable[[], float]
    """Seconds since 1970."""
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    """Returns 32 random hexadecimal digits."""
    settings: Declared
    s3: S3Objects | None = None
    """None where there is no S3."""
