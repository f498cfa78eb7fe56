"""The history of a batch adds up to its counts, has a bounded number of points, and survives storage."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.history import (
    MAX_POINTS,
    WIDTHS,
    History,
    Point,
    Recorder,
    history_from_text,
    history_to_text,
)
from nightlane.domain.shard import Part, Sample, Shard

START, WEEK = 1_800_000_000, 7 * 86_400
COUNTS = st.integers(0, 5_000)
# Clocks of workers may differ from that of the store by a few seconds.
SAMPLES = st.builds(
    Sample, st.integers(START - 5, START + WEEK + 5), st.integers(0, 900), COUNTS, COUNTS, COUNTS, COUNTS
)


def record(samples: list[Sample], end: float) -> History:
    recorder = Recorder(START, end)
    shard = Shard(batch_id="batch_1", index=0, parts=tuple(Part("", 0, 0, each) for each in samples))
    assert list(recorder.watch([shard])) == [shard]
    return recorder.history()


@given(samples=st.lists(SAMPLES, max_size=20), seconds=st.integers(0, WEEK))
def test_the_points_add_up_to_what_was_committed(samples: list[Sample], seconds: int) -> None:
    history = record(samples, START + seconds)
    assert sum(each.completed for each in history.points) == sum(each.completed for each in samples)
    assert sum(each.failed for each in history.points) == sum(each.failed for each in samples)
    assert 1 <= len(history.points) <= MAX_POINTS
    assert len(history.points) * history.seconds > seconds
    assert all(each.completed >= 0 and each.failed >= 0 for each in history.points)
    assert history_from_text(history_to_text(history)) == history


def test_a_checkpoint_is_spread_over_the_time_since_the_one_before() -> None:
    history = record([Sample(START + 40, 30, 300, 30, 330, 330 * 2_000)], START + 49)
    assert (history.start, history.seconds) == (START, 1)
    assert [each.completed for each in history.points] == [0] * 10 + [10] * 30 + [0] * 10
    assert {each.mean_latency_ms for each in history.points[10:40]} == {2_000}
    assert history.points[0] == Point()


def test_what_was_refused_or_failed_has_no_latency() -> None:
    assert record([Sample(START, 0, 0, 7, 0, 0)], START).points == (Point(0, 7, None),)


def test_points_are_wider_the_longer_a_batch_runs() -> None:
    widths = [record([], START + seconds).seconds for seconds in (0, 99, 100, 600, 3_600, 86_399, WEEK)]
    assert widths == [1, 1, 5, 10, 60, 1_800, 7_200]
    assert all(wide % narrow == 0 for narrow, wide in pairwise(WIDTHS))


def test_a_point_of_the_largest_batch_takes_few_bytes() -> None:
    samples = [Sample(START + number, 0, 500, 12, 512, 512 * 60_000) for number in range(100)]
    assert len(history_to_text(record(samples, START + 99))) < 1_400
    empty = history_to_text(record([], START + 99))
    assert len(empty) == len(f"{START}:1:") + 99
