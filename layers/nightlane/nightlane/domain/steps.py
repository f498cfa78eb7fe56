"""The steps of a batch, planning and assembly: each takes an epoch, and only the newest may commit."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nightlane.api_settings import StepSettings
from nightlane.domain.batch import Batch
from nightlane.domain.ports import BlobMissing, Ports
from nightlane.domain.stores import Fenced

# More than one renewal per `redrive_seconds`, so that a late one still comes before the sweeper.
RENEWALS_PER_REDRIVE = 3

Item = TypeVar("Item")


def redrive_at(ports: Ports[StepSettings]) -> int:
    """Return when the sweeper should redrive what is not done by then, in seconds since 1970."""
    return int(ports.now()) + ports.settings.redrive_seconds


class Hold:
    """Keeps the sweeper from redriving a step while it is running."""

    def __init__(self, ports: Ports[StepSettings], batch: Batch) -> None:
        self._ports = ports
        self._batch = batch
        self._due = self._next()

    def during(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the same items, and renew the hold as needed in between.

        Raises:
            Fenced: the step was taken over, or the status of the batch changed.
        """
        for item in items:
            if self._ports.now() >= self._due:
                self.renew()
            yield item

    def renew(self) -> None:
        """Postpone the redrive. Raises: Fenced."""
        if not self._ports.batches.hold_step(self._batch, redrive_at(self._ports)):
            raise Fenced(f"epoch {self._batch.epoch} of {self._batch.id}")
        self._due = self._next()

    def _next(self) -> float:
        return self._ports.now() + self._ports.settings.redrive_seconds / RENEWALS_PER_REDRIVE


@contextmanager
def held(ports: Ports[StepSettings], batch: Batch) -> Iterator[Hold]:
    """Hold a step that has begun. If it was taken over, the context ends without an exception."""
    hold = Hold(ports, batch)
    try:
        try:
            yield hold
        except BlobMissing:
            # If the step was taken over, the other one may have ended the batch and deleted its objects.
            hold.renew()
            raise
    except Fenced:
        return
