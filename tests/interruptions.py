"""Something that happens in the middle of planning or assembly, at a point that a test chooses."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nightlane.aws.blobs import ObjectWriter, S3Blobs
from tests.world import World


def nothing() -> None:
    """Happens usually."""


class InterruptedBlobs(S3Blobs):
    """The bucket, and what happens in the world while it is used."""

    def __init__(self, nightlane: World) -> None:
        super().__init__(nightlane.clients.s3, nightlane.ports.settings.bucket_name)
        self.before_a_read = nothing
        self.after_a_chunk = nothing
        self.after_a_line = nothing
        self.before_an_object_appears = nothing
        self.before_a_deletion = nothing

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.before_a_read()
        for chunk in super().stream(key, start, end):
            yield chunk
            self.after_a_chunk()

    @contextmanager
    def writer(self, key: str) -> Iterator[ObjectWriter]:
        with super().writer(key) as writer:
            write = writer.write

            def write_line(data: bytes) -> None:
                write(data)
                self.after_a_line()

            vars(writer)["write"] = write_line
            yield writer
            self.before_an_object_appears()

    def delete(self, keys: Iterable[str]) -> None:
        self.before_a_deletion()
        super().delete(keys)


@dataclass
class InterruptedModels:
    """The upstream's list of models, and what happens before it is told."""

    known: frozenset[str] | None = None
    meanwhile: Callable[[], None] = field(default=nothing)

    def model_ids(self) -> frozenset[str] | None:
        self.meanwhile()
        return self.known

    def list_models(self) -> dict[str, Any]:
        raise NotImplementedError

    def retrieve_model(self, model: str) -> dict[str, Any]:
        raise NotImplementedError


def once(happens: Callable[[], None]) -> Callable[[], None]:
    """The first time only."""
    left = [happens]
    return lambda: left.pop()() if left else None
