"""A lane line by line: a rolling pool that one invocation hands to the next. Times are in seconds."""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from nightlane.aws.bill import FUNCTION_SECONDS
from nightlane.domain.inference.supervisor import LAST_COMMIT_SECONDS, Limits, Supervisor


@dataclass(slots=True)
class _Clock:
    now: float = 0.0
    is_held: bool = True


@dataclass(eq=False, slots=True)
class Invocation:
    """One invocation of `infer`, from when it begins until its last line has ended."""

    began: float
    ready: float
    supervisor: Supervisor
    ended: float = 0.0

    @property
    def gives_up_at(self) -> float:
        return self.began + FUNCTION_SECONDS - LAST_COMMIT_SECONDS


@dataclass(slots=True)
class LaneTimes:
    """What happened to a lane."""

    ends: list[float] = field(default_factory=list)
    """When lines ended, sorted."""
    invocations: list[Invocation] = field(default_factory=list)
    given_up: int = 0
    """Requests that another invocation repeated."""

    @property
    def worker_seconds(self) -> float:
        return sum(each.ended - each.began for each in self.invocations)


def run_lane(latencies: Iterable[float], slots: int, worker_start: float = 0.0) -> LaneTimes:
    """Run a lane. While the last lines of an invocation are in flight, the next one has the other slots.

    Unlike a worker, it never has to wait for a shard that the invocation before has begun.
    """
    times, clock, left = LaneTimes(), _Clock(), deque(latencies)
    in_flight: list[tuple[float, int, float, Invocation]] = []
    current, serial = _begin(times, clock, worker_start), 0
    while left or in_flight:
        if left and current.supervisor.stop is not None:
            current = _begin(times, clock, worker_start)
        while left and clock.now >= current.ready and len(in_flight) < slots:
            latency, serial = left.popleft(), serial + 1
            end = min(clock.now + latency, current.gives_up_at)
            heapq.heappush(in_flight, (end, serial, latency, current))
        if not in_flight or (left and clock.now < current.ready <= in_flight[0][0]):
            clock.now = current.ready
            continue
        end, _, latency, invocation = heapq.heappop(in_flight)
        clock.now = invocation.ended = end
        if end < invocation.gives_up_at:
            times.ends.append(end)
            invocation.supervisor.on_answer(latency)
        else:
            left.appendleft(latency)
            times.given_up += 1
        current.supervisor.check()
    return times


def _begin(times: LaneTimes, clock: _Clock, worker_start: float) -> Invocation:
    limits = Limits(expires_at=math.inf, deadline=clock.now + FUNCTION_SECONDS, cancel_grace_seconds=0)
    supervisor = Supervisor(limits, clock, lambda: clock.now, lambda: clock.now)
    invocation = Invocation(clock.now, clock.now + worker_start, supervisor)
    times.invocations.append(invocation)
    return invocation
