"""Parts merge into input order, whatever was committed when."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.parts import Record, merge_parts, read_records, write_records
from nightlane.domain.shard import Part


def record(line: int) -> Record:
    return Record(line, line % 3 != 0, b'{"line": %d, "text": "a b"}\n' % line)


@given(
    order=st.integers(0, 60).flatmap(lambda size: st.permutations(range(size))),
    cuts=st.sets(st.integers(1, 60)),
    chunk=st.integers(1, 50),
)
def test_every_record_comes_once_in_line_order(order: list[int], cuts: set[int], chunk: int) -> None:
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


def test_a_part_is_opened_only_when_its_first_line_is_due() -> None:
    opened: list[str] = []
    blobs = {f"part-{n}": write_records([record(2 * n), record(2 * n + 1)]) for n in range(3)}

    def open_part(key: str) -> list[bytes]:
        opened.append(key)
        return [blobs[key]]

    merged = merge_parts([Part(f"part-{n}", 2 * n, 2 * n + 1) for n in range(3)], open_part)
    assert next(merged).line == 0
    assert opened == ["part-0"]
    assert [each.line for each in merged] == [1, 2, 3, 4, 5]


def test_a_part_reads_back_as_it_was_written() -> None:
    records = [record(line) for line in (5, 2, 9)]
    assert list(read_records([write_records(records)])) == sorted(records, key=lambda each: each.line)
