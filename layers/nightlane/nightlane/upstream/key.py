"""What a caller of the upstream asks of its key."""

from typing import Protocol


class Key(Protocol):
    """A bearer key that may be changed while it is in use."""

    def get(self) -> str | None:
        """The key; None if the upstream needs none. Raises: ValueError, if it cannot be sent."""

    def get_other_than(self, refused: str | None) -> str | None:
        """The key, read again if it still is the one that was refused. Raises: ValueError."""


def bearer(key: str | None) -> dict[str, str]:
    """The header that carries the key."""
    return {"Authorization": f"Bearer {key}"} if key else {}
