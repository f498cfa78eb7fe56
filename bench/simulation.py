"""A discrete-event simulation of admission, lanes, pools and checkpoints. Times are in seconds."""

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from simpy import AllOf, Environment, Event, Resource

from bench.lane_simulation import LaneTimes, run_lane
from bench.scale_model import TRANSACTION_SECONDS, Shape
from nightlane.aws.bill import WORKER_START_SECONDS
from nightlane.aws.runs import lane_shards
from nightlane.aws.table.connection import MAX_ATTEMPTS, MAX_PAUSE_SECONDS

Process = Generator[Event, object, None]


@dataclass(eq=False, slots=True)
class HotItem:
    """A DynamoDB item that only one transaction at a time can write."""

    busy_until: float = -math.inf
    transactions: int = 0
    attempts: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class Overheads:
    """The time a batch spends besides inference. Lanes start at random within `start_spread`."""

    plan: float = 0.0
    worker_start: float = WORKER_START_SECONDS
    assemble: float = 0.0
    transaction: float = TRANSACTION_SECONDS
    start_spread: float = 0.0


class Simulation:
    """Batches of one shape that arrive at these times; call `run` once, then read the counts."""

    def __init__(
        self,
        shape: Shape,
        arrivals: Iterator[float],
        overheads: Overheads = Overheads(),
        latency: Callable[[], float] | None = None,
        seed: int = 1,
    ) -> None:
        self._random = random.Random(seed)
        self._shape, self._overheads = shape, overheads
        self._latency = latency or self._log_normal
        self._clock = Environment()
        self._room = Resource(self._clock, shape.settings.max_concurrent_batches)
        self._workers = Resource(self._clock, shape.settings.max_lanes)
        self.admission = HotItem()
        self.batch_items: list[HotItem] = []
        self.waits: list[float] = []
        self.durations: list[float] = []
        self.worker_seconds = 0.0
        self.invocations = 0
        for at in arrivals:
            self._clock.process(self._batch(at))

    def run(self) -> float:
        """Run to the end; returns the time at which the last batch ended."""
        self._clock.run()
        return self._clock.now

    def _log_normal(self) -> float:
        mu = math.log(self._shape.latency) - self._shape.sigma**2 / 2
        seconds = math.exp(self._random.gauss(mu, self._shape.sigma))
        return min(seconds, self._shape.settings.upstream_timeout_seconds)

    def _batch(self, arrives: float) -> Process:
        yield self._clock.timeout(arrives + self._overheads.plan)
        planned = self._clock.now
        with self._room.request() as room:
            yield room
            began = self._clock.now
            self.waits.append(began - planned)
            yield from self._transact(self.admission)
            item = HotItem()
            self.batch_items.append(item)
            shape = self._shape
            lanes = lane_shards(shape.lines, shape.input_bytes, shape.settings)
            yield AllOf(
                self._clock,
                [self._clock.process(self._lane(item, lane, sum(each))) for lane, each in lanes.items()],
            )
            yield self._clock.timeout(self._overheads.assemble)
            yield from self._transact(self.admission)
            self.durations.append(self._clock.now - began)

    def _lane(self, item: HotItem, lane: int, lines: int) -> Process:
        yield self._clock.timeout(self._random.uniform(0, self._overheads.start_spread))
        slots = self._shape.settings.lane_capacities()[lane]
        with self._workers.request() as worker:
            yield worker
            times = run_lane([self._latency() for _ in range(lines)], slots, self._overheads.worker_start)
            yield from self._commit(item, times)
            self.worker_seconds += times.worker_seconds
            self.invocations += len(times.invocations)

    def _commit(self, item: HotItem, times: LaneTimes) -> Process:
        """The checkpoints of a lane: only these interact with other lanes."""
        began, interval = self._clock.now, self._shape.settings.checkpoint_seconds
        last = began + times.ends[-1]
        saved = 0
        pause = self._random.uniform(0, interval)
        while self._clock.now + pause < last:
            yield self._clock.timeout(pause)
            pause = interval
            finished = bisect_right(times.ends, self._clock.now - began)
            if finished > saved:
                saved = finished
                yield from self._transact(item)
        yield self._clock.timeout(max(0.0, last - self._clock.now))
        yield from self._transact(item)

    def _transact(self, item: HotItem) -> Process:
        """Like `aws.table.connection`: a conflict is retried after a random pause."""
        for attempt in range(MAX_ATTEMPTS):
            item.attempts += 1
            if self._clock.now >= item.busy_until:
                item.busy_until = self._clock.now + self._overheads.transaction
                item.transactions += 1
                yield self._clock.timeout(self._overheads.transaction)
                return
            yield self._clock.timeout(self._random.uniform(0, min(MAX_PAUSE_SECONDS, 0.02 * 2**attempt)))
        item.given_up += 1


def pool_ends(latencies: Iterable[float], slots: int) -> list[float]:
    """The sorted end times of the lines in an ideal rolling pool, which loses no time between two lines."""
    busy = [0.0] * slots
    ends = []
    for latency in latencies:
        ends.append(busy[0] + latency)
        heapq.heapreplace(busy, ends[-1])
    return sorted(ends)


def poisson_arrivals(batches: int, per_second: float, seed: int = 1) -> Iterator[float]:
    """Arrival times of a Poisson process."""
    source, now = random.Random(seed), 0.0
    for _ in range(batches):
        now += source.expovariate(per_second)
        yield now
