"""Parts: the blobs that hold a checkpoint's result lines, and their merge in input order.

A record is `<line> <o|e> <result line>`; a part's records are sorted by line.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nightlane.domain.shard import Part


@dataclass(frozen=True, slots=True)
class Record:
    """The result line of one line of a shard; `data` ends with a line feed."""

    line: int
    ok: bool
    """Goes to the output file; the error file otherwise."""
    data: bytes


def write_records(records: Iterable[Record]) -> bytes:
    """The part that holds these records."""
    return b"".join(
        b"%d %c %b" % (record.line, b"o" if record.ok else b"e", record.data)
        for record in sorted(records, key=lambda record: record.line)
    )


def read_records(chunks: Iterable[bytes]) -> Iterator[Record]:
    """The records of a part, holding no more than a chunk and a record."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number, kind, data = line.split(b" ", 2)
            yield Record(int(number), kind == b"o", data + b"\n")


def merge_parts(parts: Sequence[Part], open_part: Callable[[str], Iterable[bytes]]) -> Iterator[Record]:
    """All records in the order of their lines; a part is opened when its first line is due."""
    closed = deque(sorted(parts, key=lambda part: part.first))
    opened: list[tuple[int, int, Record, Iterator[Record]]] = []
    serial = 0
    while closed or opened:
        while closed and (not opened or closed[0].first <= opened[0][0]):
            stream = read_records(open_part(closed.popleft().key))
            serial += 1
            if (record := next(stream, None)) is not None:
                heapq.heappush(opened, (record.line, serial, record, stream))
        if not opened:
            continue
        _, number, record, stream = opened[0]
        yield record
        if (following := next(stream, None)) is None:
            heapq.heappop(opened)
        else:
            heapq.heapreplace(opened, (following.line, number, following, stream))
