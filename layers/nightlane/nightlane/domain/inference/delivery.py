"""A message to `infer`, and what happens to it."""

from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.inference.ports import MessageLease
from nightlane.domain.shard import LaneMessage


class Verdict(Enum):
    """What happens to the message."""

    DONE = auto()
    HAND_BACK = auto()
    """Another worker continues after `delay_seconds`."""
    LEAVE = auto()
    """It is no longer ours: neither delete it nor change its visibility."""


@dataclass(frozen=True, slots=True)
class Ending:
    verdict: Verdict
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received message. `receives` counts how often it was received, including this time."""

    message: LaneMessage
    lease: MessageLease
    deadline: float
    """When the run must end, on the monotonic clock."""
    receives: int = 1


DONE = Ending(Verdict.DONE)
