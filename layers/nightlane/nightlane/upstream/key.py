"""The key for the upstream, as its callers use it."""

from typing import Protocol


class Key(Protocol):
    """A bearer key that may be rotated while it is in use."""

    def get(self) -> str | None:
        """Return the key; None if the upstream needs none. Raises: ValueError: it cannot be sent."""

    def get_other_than(self, refused: str | None) -> str | None:
        """Return the key, reading it again if it is still the refused one. Raises: ValueError, as `get`."""


def bearer(key: str | None) -> dict[str, str]:
    """Return the header that carries the key; empty without a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}
