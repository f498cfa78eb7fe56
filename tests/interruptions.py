"""Lets a test run something in the middle of planning or assembly."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nightlane.aws.blobs import ObjectWriter, S3Blobs
from tests.world import World


def do_nothing() -> None:
    """The default of every interruption."""


class InterruptedBlobs(S3Blobs):
    """The bucket, with functions that are called while it is used."""

    def __init__(self, nightlane: World) -> None:
        super().__init__(nightlane.clients.s3, nightlane.ports.settings.bucket_name)
        self.before_a_copy = do_nothing
        self.before_a_read = do_nothing
        self.after_a_chunk = do_nothing
        self.after_a_line = do_nothing
        self.before_an_object_appears = do_nothing
        self.before_a_deletion = do_nothing

    def copy(self, source: str, target: str) -> int:
        self.before_a_copy()
        return super().copy(source, target)

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
    """An upstream without any model, and a function that is called before it says so."""

    meanwhile: Callable[[], None] = field(default=do_nothing)

    def is_missing(self, _model: str) -> bool:
        self.meanwhile()
        return True

    def list_models(self) -> dict[str, Any]:
        raise NotImplementedError

    def retrieve_model(self, model: str) -> dict[str, Any]:
        raise NotImplementedError


def once(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls the given one only the first time."""
    remaining = [function]
    return lambda: remaining.pop()() if remaining else None
