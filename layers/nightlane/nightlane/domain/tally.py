"""What running a batch took, counted in the transactions of its checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec


class Tally(msgspec.Struct, frozen=True):
    """Sums over all checkpoints of a batch. What a run does after its last checkpoint is not in it."""

    checkpoints: int = 0
    output_bytes: int = 0
    """Of the parts that hold the results."""
    requests: int = 0
    """Sent to the upstreams, including attempts that failed or were refused."""
    refusals: int = 0
    in_flight_ms: int = 0
    """The time that all requests took together."""
    answers: int = 0
    """Requests that were neither refused nor failed."""
    answer_ms: int = 0
    """The time that these took together."""
    invocations: int = 0
    """Runs of a lane that committed something."""
    worker_ms: int = 0
    """How long these runs took, until their last checkpoints."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(mine + its for mine, its in zip(_numbers(self), _numbers(other), strict=True)))


NO_TALLY = Tally()
Take = Callable[[], Tally]
"""Returns what has been done since the last call."""


def _numbers(tally: Tally) -> tuple[int, ...]:
    return msgspec.structs.astuple(tally)


@dataclass(slots=True)
class RunTally:
    """Counts what a run does, until it is taken for a checkpoint. Not thread-safe."""

    monotonic: Callable[[], float]
    since: float
    """When the run began, or was last taken."""
    requests: int = 0
    refusals: int = 0
    in_flight_seconds: float = 0.0
    answers: int = 0
    answer_seconds: float = 0.0
    is_first: bool = True

    def add_request(self, seconds: float, *, is_refused: bool, is_answered: bool) -> None:
        """Count a request that has ended."""
        self.requests += 1
        self.refusals += is_refused
        self.in_flight_seconds += seconds
        if is_answered:
            self.answers += 1
            self.answer_seconds += seconds

    def take(self) -> Tally:
        """Return what has been counted since the last time."""
        now = self.monotonic()
        taken = Tally(
            requests=self.requests,
            refusals=self.refusals,
            in_flight_ms=round(self.in_flight_seconds * 1_000),
            answers=self.answers,
            answer_ms=round(self.answer_seconds * 1_000),
            invocations=int(self.is_first),
            worker_ms=round((now - self.since) * 1_000),
        )
        self.since, self.is_first = now, False
        self.requests, self.refusals, self.in_flight_seconds = 0, 0, 0.0
        self.answers, self.answer_seconds = 0, 0.0
        return taken
