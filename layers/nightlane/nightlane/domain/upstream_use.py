"""How much an upstream is used: counted by the hour, over all batches, and forgotten after a day."""

import msgspec

from nightlane.domain.trouble import Trouble

HOUR_SECONDS = 3_600
HOURS_KEPT = 24


class UpstreamUse(msgspec.Struct, frozen=True):
    """Requests to an upstream within an hour."""

    hour: int
    """Since 1970."""
    requests: int
    refusals: int
    trouble: Trouble | None = None
    """How it last refused or failed. Without its message, which may be about a line of some tenant."""

    @property
    def forget_at(self) -> int:
        """In seconds since 1970."""
        return (self.hour + HOURS_KEPT + 1) * HOUR_SECONDS


def hour_of(now: float) -> int:
    return int(now) // HOUR_SECONDS


def first_hour(now: float) -> int:
    """Return the first of the hours that are shown: the current one, and those before it."""
    return hour_of(now) - HOURS_KEPT + 1
