"""Which of the waiting batches is admitted next.

Tenants share the slots: first comes the tenant with the fewest running batches, then the one whose last
admission is the longest ago. Without the latter a tenant with many batches would keep the only slot of a
small deployment. Within a tenant, and between tenants that are equal so far, the earliest deadline comes
first (https://en.wikipedia.org/wiki/Earliest_deadline_first_scheduling), then the order of creation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

# A longer list would only remember turns that lie further back. It is written with every admission.
MAX_RECENT_TENANTS = 20


class Waiting(msgspec.Struct, frozen=True):
    """A planned batch that is waiting for a slot; `expires_at` in seconds since 1970."""

    batch_id: str
    tenant: str
    expires_at: int
    listed: str
    """The batch's key in its tenant's list, which begins with the time of creation."""


class Slots(msgspec.Struct, frozen=True):
    """Who holds the admission slots, and who was given the last ones."""

    running: Mapping[str, str]
    """The tenant of each admitted batch, by the batch's id."""
    recent: tuple[str, ...] = ()
    """The tenants of the last admissions, the latest first, each once."""

    def recent_with(self, tenant: str) -> tuple[str, ...]:
        """Return the recent tenants after one more admission."""
        others = [each for each in self.recent if each != tenant]
        return (tenant, *others)[:MAX_RECENT_TENANTS]


def next_batch(waiting: Iterable[Waiting], slots: Slots) -> Waiting | None:
    """Return the batch to admit next; None if none is waiting."""
    running = Counter(slots.running.values())
    # The latest has the highest turn, and a tenant that is not among them has turn 0.
    turns = {tenant: turn for turn, tenant in enumerate(reversed(slots.recent), start=1)}

    def rank(each: Waiting) -> tuple[int, int, int, str]:
        return running[each.tenant], turns.get(each.tenant, 0), each.expires_at, each.listed

    return min(waiting, key=rank, default=None)
