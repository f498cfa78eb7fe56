"""How requests to an upstream are authenticated."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Key(Protocol):
    """A key that may be rotated while it is in use."""

    def get(self) -> str | None:
        """Return the key; None if the upstream needs none. Raises: ValueError: it cannot be sent."""

    def get_other_than(self, refused: str | None) -> str | None:
        """Return the key, reading it again if it is still the refused one. Raises: ValueError, as `get`."""


class Signer(Protocol):
    """Signs each request."""

    def sign(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """Return the headers of a signature over exactly this request; may wait for I/O.

        Raises:
            ValueError: there are no valid credentials.
        """


class FixedKey(msgspec.Struct, frozen=True):
    """`Key` that is never rotated, or none."""

    key: str | None = None

    def get(self) -> str | None:
        return self.key

    def get_other_than(self, refused: str | None) -> str | None:  # noqa: ARG002
        return self.key


NO_KEY = FixedKey()


class Credentials(msgspec.Struct, frozen=True):
    """A key and its header, by default as a bearer key; or a signer."""

    key: Key = NO_KEY
    header: str | None = None
    signer: Signer | None = None

    def headers(self, key: str | None) -> dict[str, str]:
        """Return the header that carries the key; empty without a key."""
        if not key:
            return {}
        return {self.header: key} if self.header else {"Authorization": f"Bearer {key}"}
