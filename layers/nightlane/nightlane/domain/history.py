"""The history of a batch, an extension: its throughput and latency over time.

Each part of a shard says when its lines were committed, so a running batch needs no other record. When a
batch ends its shards are deleted, and a summary is stored with it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nightlane.domain.batch import Batch
from nightlane.domain.batches import get_batch
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Sample, Shard

MAX_POINTS = 100
# In seconds; the last one is enough for the longest window.
WIDTHS = (1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200)


@dataclass(frozen=True, slots=True)
class Point:
    """What ended within an interval; the latency is that of requests that were answered."""

    completed: int = 0
    failed: int = 0
    mean_latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Intervals of `seconds` each, one after the other, from `start` in seconds since 1970."""

    start: int
    seconds: int
    points: tuple[Point, ...]


class Recorder:
    """Adds up the parts of a batch that was admitted, from its admission to `end`."""

    def __init__(self, start: int, end: float) -> None:
        duration = max(0, int(end) - start)
        self._start = start
        self._width = next((each for each in WIDTHS if duration < each * MAX_POINTS), WIDTHS[-1])
        self._sums = [[0, 0, 0, 0] for _ in range(min(MAX_POINTS, duration // self._width + 1))]

    def watch(self, shards: Iterable[Shard]) -> Iterator[Shard]:
        """Yield the shards, and add their parts."""
        for shard in shards:
            for part in shard.parts:
                if part.sample is not None:
                    self.add(part.sample)
            yield shard

    def add(self, sample: Sample) -> None:
        """Add what a checkpoint committed, spread evenly over the time since the one before."""
        counts = (sample.completed, sample.failed, sample.answers, sample.answer_ms)
        began, added = sample.at - sample.seconds, [0] * len(counts)
        first, last = self._index(began), self._index(sample.at)
        for index in range(first, last + 1):
            ends_at = self._start + (index + 1) * self._width
            share = 1.0 if index == last else (ends_at - began) / sample.seconds
            sums = self._sums[index]
            for number, count in enumerate(counts):
                # Of what has been added so far, so that the rounded shares add up to the count.
                until = round(count * share)
                sums[number] += until - added[number]
                added[number] = until

    def _index(self, at: int) -> int:
        return max(0, min(len(self._sums) - 1, (at - self._start) // self._width))

    def history(self) -> History:
        return History(self._start, self._width, tuple(_point(*sums) for sums in self._sums))


def _point(completed: int, failed: int, answers: int, answer_ms: int) -> Point:
    return Point(completed, failed, round(answer_ms / answers) if answers else None)


def get_history(ports: Ports, tenant: str, batch_id: str) -> History | None:
    """Return the history of a batch of the tenant; None if it was not admitted, or has none.

    Raises:
        NotFound: there is no such batch of the tenant.
    """
    batch = get_batch(ports, tenant, batch_id)
    if not batch.status.is_terminal and (recorder := recorder_of(batch, ports.now())) is not None:
        for _ in recorder.watch(ports.batches.shards(batch_id)):
            pass
        # If it has ended meanwhile, its shards may have been deleted.
        batch = get_batch(ports, tenant, batch_id)
        if not batch.status.is_terminal:
            return recorder.history()
    return None if batch.history is None else history_from_text(batch.history)


def recorder_of(batch: Batch, now: float) -> Recorder | None:
    """Return a recorder for a batch until now, or until it was closed; None if it was not admitted."""
    if batch.in_progress_at is None:
        return None
    return Recorder(batch.in_progress_at, batch.finalizing_at or now)


def history_to_text(history: History) -> str:
    """Encode in a few bytes per point, because it is stored in the batch's item."""
    points = (
        f"{each.completed},{each.failed},{'' if each.mean_latency_ms is None else each.mean_latency_ms}"
        for each in history.points
    )
    return f"{history.start}:{history.seconds}:" + ";".join("" if each == "0,0," else each for each in points)


def history_from_text(text: str) -> History:
    start, seconds, points = text.split(":")
    return History(int(start), int(seconds), tuple(map(_point_from_text, points.split(";"))))


def _point_from_text(text: str) -> Point:
    if not text:
        return Point()
    completed, failed, latency = text.split(",")
    return Point(int(completed), int(failed), int(latency) if latency else None)
