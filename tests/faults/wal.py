"""Finds where the transactions of a write-ahead log end. https://www.sqlite.org/fileformat2.html#walformat"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24


@dataclass(frozen=True, slots=True)
class Frame:
    """A page in the log. `end` is the offset just after its last byte."""

    end: int
    commits: bool


def frames(log: Path) -> Iterator[Frame]:
    """The frames since the log was last restarted; older frames may follow, until they are overwritten."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) < HEADER_BYTES:
        return
    (page_bytes,) = struct.unpack_from(">I", data, 8)
    salts, start = data[16:24], HEADER_BYTES
    size = FRAME_HEADER_BYTES + page_bytes
    while start + size <= len(data) and data[start + 8 : start + 16] == salts:
        (pages_after_commit,) = struct.unpack_from(">I", data, start + 4)
        start += size
        yield Frame(start, pages_after_commit > 0)


def committed_end(log: Path) -> int:
    """The offset where the last committed transaction ends; 0 if there is none."""
    return max((frame.end for frame in frames(log) if frame.commits), default=0)
