"""The content of an upload before it is stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from nightlane.api_settings import KIB

CHUNK_BYTES = 64 * KIB


class Received(Protocol):
    """Content that arrives in chunks."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def path(self) -> Path | None:
        """The file that contains it, which a store may move; None if it is in memory."""

    def write(self, data: bytes) -> None: ...

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in chunks of bounded size."""


class InMemory:
    """`Received` for content that fits into memory."""

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
