"""Parts: the blobs that hold a checkpoint's result lines, and their merge in input order.

A record is `<line> <o|e> <result line>`; a part's records are sorted by line.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from nightlane.domain.shard import Part

# The first chunks of this many parts are read ahead, besides the parts whose lines are due.
PARTS_AHEAD = 16


class Record(msgspec.Struct, frozen=True):
    """The result line of one line of a shard; `data` ends with a line feed."""

    line: int
    ok: bool
    """Whether it goes to the output file rather than the error file."""
    data: bytes


def write_records(records: Iterable[Record]) -> bytes:
    """Return the part that holds these records."""
    return b"".join(
        b"%d %c %b" % (record.line, b"o" if record.ok else b"e", record.data)
        for record in sorted(records, key=lambda record: record.line)
    )


def read_records(chunks: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a part, holding no more than one chunk and one record."""
    data = b""
    for chunk in chunks:
        # Many parts may be open, so each holds its chunk once.
        data, start = data + chunk, 0
        del chunk
        while end := data.find(b"\n", start) + 1:
            number, kind, line = data[start:end].split(b" ", 2)
            yield Record(int(number), kind == b"o", line)
            start = end
        data = data[start:]


def merge_parts(
    parts: Sequence[Part], open_part: Callable[[str], Iterator[bytes]], ahead: int = PARTS_AHEAD
) -> Iterator[Record]:
    """Yield all records in line order. A part is opened for merging when its first line is due.

    Streams returned by `open_part` are read on other threads too, and up to `ahead` parts ahead.
    """
    closed = deque(sorted(parts, key=lambda part: part.first))
    streams = _read_ahead((open_part(part.key) for part in list(closed)), ahead)
    opened: list[tuple[int, int, Record, Iterator[Record]]] = []
    serial = 0
    while closed or opened:
        while closed and (not opened or closed[0].first <= opened[0][0]):
            closed.popleft()
            stream = read_records(next(streams))
            serial += 1
            if (record := next(stream, None)) is not None:
                heapq.heappush(opened, (record.line, serial, record, stream))
        if not opened:
            continue
        _, number, record, stream = opened[0]
        yield record
        if (next_record := next(stream, None)) is None:
            heapq.heappop(opened)
        else:
            heapq.heapreplace(opened, (next_record.line, number, next_record, stream))


def _read_ahead(streams: Iterable[Iterator[bytes]], limit: int) -> Iterator[Iterator[bytes]]:
    """Yield each stream in turn while the first chunks of up to `limit` later ones are being read."""
    ahead: deque[tuple[Future[bytes], Iterator[bytes]]] = deque()
    with ThreadPoolExecutor(limit) as threads:
        for stream in streams:
            ahead.append((threads.submit(next, stream, b""), stream))
            if len(ahead) > limit:
                yield _rejoin(*ahead.popleft())
        while ahead:
            yield _rejoin(*ahead.popleft())


def _rejoin(first: "Future[bytes]", rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first.result()
    del first
    yield from rest
