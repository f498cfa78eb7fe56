"""What a worker of a lane still has in flight after it has let its lane's message go."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Drain(msgspec.Struct, frozen=True):
    """The last requests of a worker that starts no more. Its successor counts them as its own."""

    holder: str
    """The run that they belong to."""
    in_flight: int
    """At most this many; it only ever falls."""
    until: int
    """Seconds since 1970: they have ended by then, even if their worker crashed."""


class DrainStore(Protocol):
    """The drains of lanes. Each method is one write or one read."""

    def put_drain(self, batch_id: str, lane: int, drain: Drain, forget_at: int) -> None:
        """Store or replace the drain of a holder. It expires at `forget_at`."""

    def end_drain(self, batch_id: str, lane: int, holder: str) -> None:
        """Remove the drain of a holder, if there is one."""

    def drains(self, batch_id: str, lane: int) -> Sequence[Drain]:
        """Return all drains of a lane, also those that are over, read consistently."""
