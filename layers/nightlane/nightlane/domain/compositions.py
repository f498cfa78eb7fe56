"""The interface that puts the objects of parts together, implemented on S3 and on a folder."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Source(msgspec.Struct, frozen=True):
    """An object that is part of a composition, and its size in bytes."""

    key: str
    size: int


class Composed(msgspec.Struct, frozen=True):
    """The composition is complete; `md5` is the hexadecimal digest of its content, if it was asked for."""

    md5: str | None


class Compositions(Protocol):
    """Composes objects from others, in constant memory. Calls may be repeated, and may overlap."""

    @property
    def max_checked_bytes(self) -> int | None:
        """The largest content whose checksum can be computed; None if there is no limit."""

    def begin(self, target: str) -> str:
        """Return the id of a new composition of the object `target`."""

    def compose(
        self, composition: str, target: str, sources: Sequence[Source], *, md5: bool
    ) -> Composed | None:
        """Write the sources one after another, as one object that appears once it is complete.

        Returns None if a call may not take so long; the next one continues.

        Raises:
            BlobMissing: a source does not exist, or the composition was discarded.
        """

    def discard(self, composition: str, target: str) -> None:
        """Delete the object, complete or not. The composition cannot be continued."""
