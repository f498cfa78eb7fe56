"""The content of a file as a client sends it, before it has a place of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from nightlane.settings import KIB

CHUNK_BYTES = 64 * KIB


class Received(Protocol):
    """Content that arrives piece by piece."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def path(self) -> Path | None:
        """The file it is in, which a store may take; None if it is in memory."""

    def write(self, data: bytes) -> None: ...

    def chunks(self) -> Iterator[bytes]:
        """All of it, in pieces of bounded size."""


class InMemory:
    """`Received` for content small enough to be held."""

    path = None

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)

    @property
    def size(self) -> int:
        return len(self._data)

    def write(self, data: bytes) -> None:
        self._data += data

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), CHUNK_BYTES):
            yield bytes(self._data[start : start + CHUNK_BYTES])
