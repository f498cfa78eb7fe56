"""Admission, lanes, pools and checkpoints, event by event. Times in seconds.

simpy would make this 45 lines shorter, but takes 1.4 times as long where batches or lanes are many.
"""

import heapq
import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from bench.scale_model import TRANSACTION_SECONDS, Shape
from infra.cost import SHARD_START_SECONDS, shard_lines
from nightlane.aws.table.connection import ATTEMPTS, LONGEST_PAUSE_SECONDS


@dataclass(eq=False, slots=True)
class Slots:
    """So many may hold one at once; the others wait in order."""

    free: int
    waiting: "deque[Process]" = field(default_factory=deque)


Process = Generator[float | Slots, None, None]
"""Yields the seconds it sleeps, or the slots it wants one of."""


@dataclass(eq=False, slots=True)
class HotItem:
    """An item that transactions write one at a time."""

    busy_until: float = -math.inf
    transactions: int = 0
    attempts: int = 0
    given_up: int = 0


class Clock:
    """Runs processes in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Process]] = []
        self._serial = count()

    def start(self, process: Process, after: float = 0.0) -> None:
        heapq.heappush(self._events, (self.now + after, next(self._serial), process))

    def free(self, slots: Slots) -> None:
        if slots.waiting:
            self.start(slots.waiting.popleft())
        else:
            slots.free += 1

    def run(self) -> None:
        while self._events:
            self.now, _, process = heapq.heappop(self._events)
            match next(process, None):
                case Slots(free=0) as slots:
                    slots.waiting.append(process)
                case Slots() as slots:
                    slots.free -= 1
                    self.start(process)
                case float() | int() as seconds:
                    self.start(process, seconds)


@dataclass(frozen=True, slots=True)
class Overheads:
    """What a batch spends besides inference. Lanes start at random within `start_spread`."""

    shard_start: float = SHARD_START_SECONDS
    assemble: float = 0.0
    transaction: float = TRANSACTION_SECONDS
    start_spread: float = 0.0


class Simulation:
    """Batches of one shape that arrive at these times; `run` it once, then read its counts."""

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
        self._clock = Clock()
        self._room = Slots(shape.settings.max_concurrent_batches)
        self._workers = Slots(min(1_000, shape.settings.worker_concurrency))
        self.admission = HotItem()
        self.batch_items: list[HotItem] = []
        self.waits: list[float] = []
        self.durations: list[float] = []
        for at in arrivals:
            self._clock.start(self._batch(), at)

    def run(self) -> float:
        """The time at which the last batch ended."""
        self._clock.run()
        return self._clock.now

    def _log_normal(self) -> float:
        mu = math.log(self._shape.latency) - self._shape.sigma**2 / 2
        return math.exp(self._random.gauss(mu, self._shape.sigma))

    def _batch(self) -> Process:
        came = self._clock.now
        yield self._room
        began = self._clock.now
        self.waits.append(began - came)
        yield from self._transact(self.admission)
        item = HotItem()
        self.batch_items.append(item)
        lanes: dict[int, list[int]] = {}
        for lane, lines in shard_lines(self._shape.lines, self._shape.input_bytes, self._shape.settings):
            lanes.setdefault(lane, []).append(lines)
        ended = Slots(0)
        for lane, shards in lanes.items():
            spread = self._random.uniform(0, self._overheads.start_spread)
            self._clock.start(self._lane(item, lane, shards, ended), spread)
        for _ in lanes:
            yield ended
        yield self._overheads.assemble
        yield from self._transact(self.admission)
        self.durations.append(self._clock.now - began)
        self._clock.free(self._room)

    def _lane(self, item: HotItem, lane: int, shards: list[int], ended: Slots) -> Process:
        for lines in shards:
            yield self._workers
            yield self._overheads.shard_start
            yield from self._shard(item, lines, self._shape.settings.lane_capacities[lane])
            self._clock.free(self._workers)
        self._clock.free(ended)

    def _shard(self, item: HotItem, lines: int, slots: int) -> Process:
        """The pool's times are known at its start; its checkpoints meet those of other lanes."""
        began, interval = self._clock.now, self._shape.settings.checkpoint_seconds
        ends = pool_ends((self._latency() for _ in range(lines)), slots)
        last = began + ends[-1]
        saved = 0
        pause = self._random.uniform(0, interval)
        while self._clock.now + pause < last:
            yield pause
            pause = interval
            finished = bisect_right(ends, self._clock.now - began)
            if finished > saved:
                saved = finished
                yield from self._transact(item)
        yield max(0.0, last - self._clock.now)
        yield from self._transact(item)

    def _transact(self, item: HotItem) -> Process:
        """As `aws.table.connection` does it: a conflict is tried again after a jittered pause."""
        for attempt in range(ATTEMPTS):
            item.attempts += 1
            if self._clock.now >= item.busy_until:
                item.busy_until = self._clock.now + self._overheads.transaction
                item.transactions += 1
                yield self._overheads.transaction
                return
            yield self._random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.02 * 2**attempt))
        item.given_up += 1


def pool_ends(latencies: Iterable[float], slots: int) -> list[float]:
    """When each line of a rolling pool ends that loses no time between two, in order."""
    busy = [0.0] * slots
    ends = []
    for latency in latencies:
        ends.append(busy[0] + latency)
        heapq.heapreplace(busy, ends[-1])
    return sorted(ends)


def at_random(batches: int, per_second: float, seed: int = 1) -> Iterator[float]:
    """Poisson arrivals."""
    source, now = random.Random(seed), 0.0
    for _ in range(batches):
        now += source.expovariate(per_second)
        yield now
