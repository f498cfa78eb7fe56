"""What a sweep finds stuck: batches that should have got further by now.

One metric stands for all of it, so that one alarm can. The log names the batches.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from nightlane.domain.batch import Batch, BatchStatus
from nightlane.domain.metrics import Metric
from nightlane.domain.ports import Ports

PLANNED_WITHIN_SECONDS = 600
ASSEMBLED_WITHIN_SECONDS = 1_800
# Every batch must end within ten minutes of its expiry.
OVERDUE_SECONDS = 600
MAX_BATCHES_LOGGED = 20


class Sign(StrEnum):
    """Why a batch counts as stuck."""

    NOT_PLANNED = "not planned"
    NOT_ASSEMBLED = "not assembled"
    STALLED = "stalled"
    OVERDUE = "overdue"


@dataclass(slots=True)
class Stuck:
    """The stuck batches of one sweep."""

    signs: dict[str, Sign] = field(default_factory=dict)
    """By batch id."""

    def check(self, batch: Batch, now: float) -> None:
        """Note a batch that the sweeper has to handle, if it waits for a step for too long."""
        sign = sign_of(batch, now)
        if sign is not None:
            self.signs[batch.id] = sign

    def stalled(self, batch: Batch) -> None:
        """Note a running batch without progress."""
        self.signs.setdefault(batch.id, Sign.STALLED)

    def count(self, sign: Sign) -> int:
        return sum(each is sign for each in self.signs.values())

    def report(self, ports: Ports) -> None:
        """Publish how many are stuck and log which, unless there are none."""
        if self.signs:
            ports.metrics.add(Metric.WORK_STUCK, len(self.signs))
            some = dict(islice(self.signs.items(), MAX_BATCHES_LOGGED))
            ports.log("work is stuck", count=len(self.signs), batches=some)


def sign_of(batch: Batch, now: float) -> Sign | None:
    """Return why an unfinished batch that no function is working on is stuck; None if it is not."""
    if now > batch.expires_at + OVERDUE_SECONDS:
        return Sign.OVERDUE
    if batch.outcome is not None or batch.status is BatchStatus.CANCELLING:
        ended_at = batch.cancelling_at or batch.finalizing_at or batch.expires_at
        return Sign.NOT_ASSEMBLED if now > ended_at + ASSEMBLED_WITHIN_SECONDS else None
    is_late = not batch.is_planned and now > batch.created_at + PLANNED_WITHIN_SECONDS
    return Sign.NOT_PLANNED if is_late else None
