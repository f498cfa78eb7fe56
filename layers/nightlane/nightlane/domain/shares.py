"""How the lanes of all batches share the requests that an upstream may get at once."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace


class Share(msgspec.Struct, frozen=True):
    """A lane's part of an upstream's limit."""

    granted: int
    """Requests in flight that only this lane may have."""
    wanted: int
    until: int
    """Seconds since 1970: it counts no longer than this unless it is renewed."""
    deadline: int
    """When its batch expires: of lanes that all want more, the most urgent get the odd requests."""
    holder: str
    """The run of the lane. A worker that was replaced must not touch what its successor claimed."""


class Shares(msgspec.Struct, frozen=True):
    """The shares in an upstream, by lane, as they are stored."""

    version: int = 0
    lanes: Mapping[str, Share] = msgspec.field(default_factory=dict)


def allot(shares: Mapping[str, Share], limit: int) -> dict[str, int]:
    """Return the fair share of each lane: as equal as what they want allows (max-min fairness)."""
    fair = dict.fromkeys(sorted(shares, key=lambda lane: (shares[lane].deadline, lane)), 0)
    left = limit
    while left and (unsatisfied := [lane for lane in fair if fair[lane] < shares[lane].wanted]):
        each = max(1, left // len(unsatisfied))
        for lane in unsatisfied[:left]:
            more = min(each, shares[lane].wanted - fair[lane])
            fair[lane] += more
            left -= more
    return fair


def claim(
    stored: Shares, lane: str, share: Share, *, in_use: int, limit: int, now: float
) -> tuple[Shares, int]:
    """Return the shares with this lane's, granted as much as is fair and free, and its fair share.

    What it uses now it keeps, even if that is more than is fair: it must use less first. `in_use` may only be
    what it was granted by a share that has not expired.
    """
    others = {name: each for name, each in stored.lanes.items() if name != lane and each.until > now}
    fair = allot({**others, lane: share}, limit)[lane]
    free = limit - sum(each.granted for each in others.values())
    granted = max(in_use, min(fair, free), 0)
    return Shares(stored.version + 1, {**others, lane: replace(share, granted=granted)}), fair


def release(stored: Shares, lane: str, now: float) -> Shares:
    """Return the shares without this lane's."""
    left = {name: each for name, each in stored.lanes.items() if name != lane and each.until > now}
    return Shares(stored.version + 1, left)
