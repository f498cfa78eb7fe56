"""The cursor of the results says exactly which lines were seen, in a text that fits into a URL."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nightlane.domain.batch import BatchStatus
from nightlane.domain.errors import BadRequest
from nightlane.domain.result_cursor import MAX_RUNS, Cursor, SeenLines, decode_cursor, encode_cursor
from tests.store.examples import new_batch

TOTAL = 50
BATCH = replace(new_batch(1), total=TOTAL, status=BatchStatus.IN_PROGRESS)


def seen(lines: set[int], total: int = TOTAL) -> SeenLines:
    found = SeenLines(total)
    for line in lines:
        assert found.add(line)
    return found


@given(lines=st.sets(st.integers(0, TOTAL - 1)), file=st.integers(0, 2), offset=st.integers(0, 2**40))
def test_a_cursor_is_read_as_it_was_written(lines: set[int], file: int, offset: int) -> None:
    cursor = Cursor(seen(lines), file, offset, from_files=min(offset, 7))
    text = encode_cursor(BATCH, cursor)
    again = decode_cursor(BATCH, text)
    assert (set(again.seen), again.file, again.offset) == (lines, file, offset)
    assert again.count == cursor.count
    assert encode_cursor(BATCH, again) == text


@given(lines=st.sets(st.integers(0, TOTAL - 1)), removed=st.sets(st.integers(0, TOTAL - 1)))
def test_the_runs_are_counted_as_lines_come_and_go(lines: set[int], removed: set[int]) -> None:
    found = seen(lines)
    for line in lines & removed:
        found.remove(line)
    left = sorted(lines - removed)
    assert list(found) == left
    assert len(found.runs()) == 2 * sum(1 for before, line in pairwise([-9, *left]) if line > before + 1)
    assert found._runs == len(found.runs()) // 2
    assert found.first_unseen() == min(set(range(TOTAL + 1)) - set(left))


def test_the_first_lines_of_a_batch_are_a_plain_number() -> None:
    assert encode_cursor(BATCH, Cursor(seen(set()))) == "0"
    assert encode_cursor(BATCH, Cursor(seen({0, 1, 2}))) == "3"
    assert set(decode_cursor(BATCH, "3").seen) == {0, 1, 2}
    assert encode_cursor(BATCH, Cursor(seen({1, 2}))).startswith("c")


def test_a_cursor_of_the_longest_batch_fits_into_a_url() -> None:
    batch, found = replace(BATCH, total=50_000), SeenLines(50_000)
    added = [line for line in range(0, 50_000, 71) if found.add(line)]
    assert len(added) == MAX_RUNS
    assert found.add(1), "a line beside one that was seen needs no other run"
    assert not found.add(49_999)
    assert len(encode_cursor(batch, Cursor(found))) < 5_700


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.5", "x", "c", "c!", "cAA", "51", "9" * 5_000, "c" + "A" * 8_000, "é", "²"],
)
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        decode_cursor(BATCH, text)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "after")


def test_the_cursor_of_another_batch_is_refused() -> None:
    text = encode_cursor(BATCH, Cursor(seen({3})))
    with pytest.raises(BadRequest):
        decode_cursor(replace(BATCH, id=new_batch(2).id), text)
