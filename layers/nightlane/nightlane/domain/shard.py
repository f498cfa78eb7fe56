"""Shards: runs of request lines, which of them are finished, and the messages that hand them out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from nightlane.domain.batch import Usage
from nightlane.domain.tally import NO_TALLY, Tally

Content = TypeVar("Content")


class ShardSpec(msgspec.Struct, frozen=True):
    """Where a shard's lines are: bytes `start` to `end` (exclusive) of the manifest's `input_key`."""

    index: int
    lane: int
    """The lane that runs it, unless another has nothing left to do and begins it first."""
    start: int
    end: int
    first_line: int
    """0-based number of the shard's first request among the batch's requests, as they are sent."""
    lines: int

    @property
    def numbers(self) -> range:
        """The numbers of its requests among the batch's requests, as they are sent."""
        return range(self.first_line, self.first_line + self.lines)


class Lane(msgspec.Struct, frozen=True):
    """What a lane may do: at most one worker runs it at any time."""

    upstream: str
    """The name of the upstream that gets its requests."""
    capacity: int
    """Requests in flight."""


class Manifest(msgspec.Struct, frozen=True):
    """How a batch was divided: written once by plan, read by dispatch, infer and assemble."""

    input_key: str
    lanes: tuple[Lane, ...]
    shards: tuple[ShardSpec, ...]
    order_key: str | None = None
    """Where the order of the requests is stored, if they are not sent in the order of the input."""


def input_key(batch_id: str) -> str:
    """Return the key of a batch's own copy of its input.

    Every planner writes the same bytes, because files never change, so the key needs no epoch.
    """
    return f"work/{batch_id}/input.jsonl"


def plan_keys(batch_id: str, epoch: int) -> tuple[str, str, str]:
    """Return the keys of what a planner writes: the manifest, the ordered input and its order."""
    return (
        f"work/{batch_id}/manifest-{epoch:05d}.json",
        f"work/{batch_id}/ordered-{epoch:05d}.jsonl",
        f"work/{batch_id}/order-{epoch:05d}.bin",
    )


class LaneMessage(msgspec.Struct, frozen=True):
    """The body of one SQS message to `infer`: work on the batch's shards as this lane."""

    batch_id: str
    lane: int


class DoneLines:
    """A bitmap of the finished lines of a shard."""

    __slots__ = ("_bits", "count", "size")

    def __init__(self, size: int, stored: bytes = b"") -> None:
        self.size = size
        self._bits = bytearray(stored.ljust((size + 7) // 8, b"\0"))
        self.count = int.from_bytes(self._bits, "big").bit_count()

    def __contains__(self, line: int) -> bool:
        return bool(self._bits[line >> 3] & (1 << (line & 7)))

    def add(self, line: int) -> None:
        """Mark a line finished. Marking it twice is a bug in the caller.

        Raises:
            ValueError: the line was finished before.
        """
        index, bit = line >> 3, 1 << (line & 7)
        if self._bits[index] & bit:
            raise ValueError(f"line {line} is already finished")
        self._bits[index] |= bit
        self.count += 1

    def missing(self, lines: Iterable[Content]) -> Iterator[tuple[int, Content]]:
        """Return the unfinished ones of the shard's lines, with their numbers, in order.

        Raises:
            ValueError: there are more or fewer lines than the shard has.
        """
        numbered = zip(range(self.size), lines, strict=True)
        return ((number, line) for number, line in numbered if number not in self)

    @property
    def complete(self) -> bool:
        return self.count == self.size

    def __bytes__(self) -> bytes:
        return bytes(self._bits)

    @classmethod
    def of(cls, size: int, lines: Iterable[int]) -> "DoneLines":
        """Return the bitmap of exactly these lines."""
        done = cls(size)
        for line in lines:
            done.add(line)
        return done


class Sample(msgspec.Struct, frozen=True):
    """What a checkpoint committed, and when, for the history of the batch."""

    at: int
    """In seconds since 1970."""
    seconds: int
    """Since the checkpoint before, of the same run."""
    completed: int
    failed: int
    answers: int
    """Requests that were answered, neither refused nor failed, and the time that they took."""
    answer_ms: int


class Part(msgspec.Struct, frozen=True):
    """A blob of result lines, sorted by line; `first` and `last` are lines of the shard."""

    key: str
    first: int
    last: int
    sample: Sample | None = None
    """None if an earlier version wrote it."""


def part_prefix(batch_id: str, index: int) -> str:
    """Return what the keys of a shard's parts begin with."""
    return f"work/{batch_id}/parts/{index:05d}/"


def part_key(shard: "Shard") -> str:
    """Return the key of the part that a shard's next checkpoint writes."""
    return f"{part_prefix(shard.batch_id, shard.index)}{shard.epoch:05d}-{shard.commits:05d}.jsonl"


class Suspicion(msgspec.Struct, frozen=True):
    """What is known against an unfinished line."""

    failures: int = 0
    """Failures that were each followed by proof that the upstream works."""
    refused_since: int = 0
    """Seconds since 1970: it has only been refused since then; 0 if its last attempt was not refused."""
    lone_refusals: int = 0
    """Refusals while nothing else was in flight."""
    others_answered: bool = False
    """Whether another line was answered between its refusals."""
    denied_since: int = 0
    """Seconds since 1970: it has only been denied since then; 0 if its last attempt was not denied."""


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """The stored state of a shard."""

    batch_id: str
    index: int
    lane: int | None = None
    """The lane that began it, and alone continues it; None if it never began."""
    epoch: int = 0
    """Fencing token: raised by every worker that begins; only the newest worker may commit."""
    commits: int = 0
    done: bytes = b""
    parts: tuple[Part, ...] = ()
    strikes: int = 0
    """Workers that began since the last checkpoint or orderly hand-back."""
    suspect: int | None = None
    """The last line that a worker running lines one by one has started."""
    suspect_strikes: int = 0
    suspicions: Mapping[int, Suspicion] = msgspec.field(default_factory=dict)
    """By line, as stored by the last worker."""
    finished: bool = False


def lane_of(spec: ShardSpec, shard: Shard) -> int:
    """Return the lane that runs a shard: the one that began it, or the one it was planned for."""
    return spec.lane if shard.lane is None else shard.lane


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The atomic commit of some finished lines of a shard."""

    part: Part | None
    done: bytes
    completed: int
    failed: int
    usage: Usage
    model: str | None
    suspicions: Mapping[int, Suspicion] = msgspec.field(default_factory=dict)
    finished: bool
    """No further line of this shard will run."""
    tally: Tally = NO_TALLY
