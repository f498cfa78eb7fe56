"""Planning and assembly are steps of a batch: each takes an epoch, and only the newest may commit."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nightlane.domain.batch import Batch
from nightlane.domain.ports import BlobMissing, Fenced, Ports
from nightlane.settings import StepSettings

# So often within `redrive_seconds`: one that is late still comes before the sweeper.
HOLDS = 3

Thing = TypeVar("Thing")


def redrive_at(ports: Ports[StepSettings]) -> int:
    """When the sweeper shall see to what is not done by then, in seconds since 1970."""
    return int(ports.now()) + ports.settings.redrive_seconds


class Hold:
    """What a step has of its batch while it works."""

    def __init__(self, ports: Ports[StepSettings], batch: Batch) -> None:
        self._ports = ports
        self._batch = batch
        self._due = self._next()

    def during(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """The same things, with the sweeper kept away from the batch as long as they come.

        Raises:
            Fenced: another took the step over, or the batch moved on.
        """
        for thing in things:
            if self._ports.now() >= self._due:
                self.renew()
            yield thing

    def renew(self) -> None:
        """Push the sweeper's next look on. Raises: Fenced."""
        if not self._ports.batches.hold_step(self._batch, redrive_at(self._ports)):
            raise Fenced(f"epoch {self._batch.epoch} of {self._batch.id}")
        self._due = self._next()

    def _next(self) -> float:
        return self._ports.now() + self._ports.settings.redrive_seconds / HOLDS


@contextmanager
def held(ports: Ports[StepSettings], batch: Batch) -> Iterator[Hold]:
    """A step that has begun; one that was replaced stops quietly, wherever it notices."""
    hold = Hold(ports, batch)
    try:
        try:
            yield hold
        except BlobMissing:
            # Whoever took over may have ended the batch and deleted what it was made of.
            hold.renew()
            raise
    except Fenced:
        return
