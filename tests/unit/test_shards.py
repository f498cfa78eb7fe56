"""Dividing a batch into shards, and the bitmap of a shard's finished lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.cutting import cut_shards
from nightlane.domain.lines import Lines
from nightlane.domain.shard import DoneLines, Lane
from nightlane.settings import Settings


def build_lines(lengths: list[int]) -> Lines:
    lines, start = Lines(), 0
    for length in lengths:
        lines.add(start, length)
        start += length + 1
    return lines


def lanes_of(settings: Settings) -> list[Lane]:
    return [Lane("one", capacity) for capacity in settings.lane_capacities()]


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=200),
    limit=st.integers(1, 40),
    in_flight=st.integers(1, 20),
    max_lines=st.integers(1, 30),
    max_bytes=st.integers(1, 200),
    starts=st.sets(st.integers(0, 200)),
)
def test_shards_cover_every_line_once_within_their_limits(
    lengths: list[int], limit: int, in_flight: int, max_lines: int, max_bytes: int, starts: set[int]
) -> None:
    settings = Settings(
        max_concurrent_requests_per_batch=limit,
        requests_in_flight_per_worker=in_flight,
        shard_max_lines=max_lines,
        shard_max_bytes=max_bytes,
    )
    lines = build_lines(lengths)
    starts = {start for start in starts if start < len(lengths)}
    shards = cut_shards(lines, lanes_of(settings), settings, {0: "one"} | dict.fromkeys(starts, "one"))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    covered = [line for shard in shards for line in range(shard.first_line, shard.first_line + shard.lines)]
    assert covered == list(range(len(lengths)))
    for shard in shards:
        assert shard.start == lines.starts[shard.first_line]
        assert shard.end == lines.ends[shard.first_line + shard.lines - 1]
        assert shard.lines <= max_lines
        assert shard.lines == 1 or shard.end - shard.start <= max_bytes
        assert 0 <= shard.lane < len(settings.lane_capacities())
        assert not starts & set(range(shard.first_line + 1, shard.first_line + shard.lines))


@given(limit=st.integers(1, 5_000), in_flight=st.integers(1, 900))
def test_the_capacities_of_a_batchs_lanes_add_up_to_the_limit(limit: int, in_flight: int) -> None:
    settings = Settings(max_concurrent_requests_per_batch=limit, requests_in_flight_per_worker=in_flight)
    assert sum(settings.lane_capacities()) == limit
    assert max(settings.lane_capacities()) <= in_flight
    assert max(settings.lane_capacities()) - min(settings.lane_capacities()) <= 1
    assert settings.worker_concurrency >= max(2, len(settings.lane_capacities()))


def test_lanes_of_equal_capacity_get_equal_numbers_of_lines() -> None:
    settings = Settings(max_concurrent_requests_per_batch=200, requests_in_flight_per_worker=50)
    shards = cut_shards(build_lines([10] * 1_000), lanes_of(settings), settings, {0: "one"})
    loads = [
        sum(shard.lines for shard in shards if shard.lane == lane)
        for lane in range(len(settings.lane_capacities()))
    ]
    assert max(loads) - min(loads) <= max(shard.lines for shard in shards)


def test_the_last_shards_of_several_lanes_are_small_so_that_all_lanes_end_together() -> None:
    settings = Settings(max_concurrent_requests_per_batch=100, requests_in_flight_per_worker=25)
    sizes = [
        spec.lines
        for spec in cut_shards(build_lines([10] * 10_000), lanes_of(settings), settings, {0: "one"})
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-2]) == (1_250, 12)
    assert len(sizes) < 50


def test_shards_are_on_lanes_of_their_lines_upstream() -> None:
    settings = Settings(max_concurrent_requests_per_batch=4, requests_in_flight_per_worker=2)
    lanes = [Lane("a", 2), Lane("a", 2), Lane("b", 1)]
    routes = {0: "b", 30: "a", 90: "b"}
    shards = cut_shards(build_lines([10] * 100), lanes, settings, routes)
    found = {line: lanes[shard.lane].upstream for shard in shards for line in (shard.first_line,)}
    assert [found[start] for start in routes] == ["b", "a", "b"]
    assert sum(shard.lines for shard in shards if lanes[shard.lane].upstream == "a") == 60
    assert {shard.lane for shard in shards} == {0, 1, 2}


@given(size=st.integers(1, 100), data=st.data())
def test_the_bitmap_holds_exactly_the_finished_lines(size: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, size - 1)))
    done = DoneLines(size, bytes(DoneLines.of(size, chosen)))
    assert {number for number, _ in done.missing(range(size))} == set(range(size)) - chosen
    assert done.count == len(chosen)
    assert done.complete == (len(chosen) == size)


def test_a_line_cannot_be_finished_twice() -> None:
    done = DoneLines.of(3, [1])
    with pytest.raises(ValueError, match="already finished"):
        done.add(1)
