"""Parts are merged into input order, in whatever order they were committed."""

from collections.abc import Iterator
from itertools import pairwise
from threading import Barrier

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.parts import PARTS_AHEAD, Record, merge_parts, read_records, write_records
from nightlane.domain.shard import Part


def record(line: int) -> Record:
    return Record(line, line % 3 != 0, b'{"line": %d, "text": "a b"}\n' % line)


@given(
    order=st.integers(0, 60).flatmap(lambda size: st.permutations(range(size))),
    cuts=st.sets(st.integers(1, 60)),
    chunk=st.integers(1, 50),
)
def test_every_record_is_merged_once_in_line_order(order: list[int], cuts: set[int], chunk: int) -> None:
    blobs: dict[str, bytes] = {}
    parts = []
    bounds = [0, *sorted(cut for cut in cuts if cut < len(order)), len(order)]
    for start, end in pairwise(bounds):
        if lines := order[start:end]:
            key = f"part-{start}"
            blobs[key] = write_records(record(line) for line in lines)
            parts.append(Part(key, min(lines), max(lines)))

    def open_part(key: str) -> Iterator[bytes]:
        return (blobs[key][at : at + chunk] for at in range(0, len(blobs[key]), chunk))

    assert list(merge_parts(parts, open_part)) == [record(line) for line in range(len(order))]


def build_parts_of_two_lines(count: int) -> tuple[list[Part], dict[str, bytes]]:
    parts = [Part(f"part-{n}", 2 * n, 2 * n + 1) for n in range(count)]
    return parts, {part.key: write_records([record(part.first), record(part.last)]) for part in parts}


def test_only_the_first_chunks_of_the_next_parts_are_read_ahead() -> None:
    read: list[str] = []
    parts, blobs = build_parts_of_two_lines(3 * PARTS_AHEAD)

    def open_part(key: str) -> Iterator[bytes]:
        for chunk in blobs[key].splitlines(keepends=True):
            read.append(key)
            yield chunk

    for merged in merge_parts(parts, open_part):
        due = merged.line // 2 + 1
        assert len(set(read)) <= due + PARTS_AHEAD
        assert len(read) <= 2 * due + PARTS_AHEAD
    assert len(read) == 6 * PARTS_AHEAD


def test_the_parts_read_ahead_are_read_concurrently() -> None:
    parts, blobs = build_parts_of_two_lines(2 * PARTS_AHEAD)
    barrier = Barrier(PARTS_AHEAD)

    def open_part(key: str) -> Iterator[bytes]:
        barrier.wait(timeout=30)
        yield blobs[key]

    assert [each.line for each in merge_parts(parts, open_part)] == list(range(4 * PARTS_AHEAD))


def test_a_part_reads_back_as_it_was_written() -> None:
    records = [record(line) for line in (5, 2, 9)]
    assert list(read_records([write_records(records)])) == sorted(records, key=lambda each: each.line)
