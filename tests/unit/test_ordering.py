"""Lines are grouped by upstream and prefix, sent group by group, and answered in the order of the input."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.grouping import MAX_GROUPS, MIN_SAVED_BYTES, Group, Grouping
from nightlane.domain.order import decode_order, encode_order, merge_runs, run_starts
from nightlane.domain.ordering import arrange
from nightlane.domain.prefixes import Prefix

LINE_BYTES = 1_000


def grouped(lines: Sequence[tuple[str, Prefix | None]], length: int = LINE_BYTES) -> list[Group]:
    grouping = Grouping()
    for route, prefix in lines:
        grouping.add(length, route, prefix)
    return grouping.groups()


def numbers_of(groups: list[Group]) -> list[list[int]]:
    return [list(group.numbers) for group in groups]


A, B, C = (Prefix(key, MIN_SAVED_BYTES) for key in (1, 2, 3))
prefixes = st.one_of(st.none(), st.builds(Prefix, st.integers(1, 50), st.just(MIN_SAVED_BYTES)))
lines = st.lists(st.tuples(st.sampled_from(["", "x", "y"]), prefixes), min_size=1, max_size=300)


@given(lines)
def test_every_line_is_in_one_group_of_its_own_route(lines: list[tuple[str, Prefix | None]]) -> None:
    groups = grouped(lines)
    assert sorted(number for group in groups for number in group.numbers) == list(range(len(lines)))
    assert len(groups) <= MAX_GROUPS
    for group in groups:
        assert list(group.numbers) == sorted(group.numbers)
        assert {lines[number][0] for number in group.numbers} == {group.route}


@given(lines)
def test_lines_with_the_same_prefix_and_route_stay_together(lines: list[tuple[str, Prefix | None]]) -> None:
    groups_of: dict[tuple[str, Prefix], set[int]] = {}
    for index, group in enumerate(grouped(lines)):
        for number in group.numbers:
            route, prefix = lines[number]
            if prefix is not None:
                groups_of.setdefault((route, prefix), set()).add(index)
    assert all(len(groups) == 1 for groups in groups_of.values())


def test_lines_with_shared_prefixes_are_grouped_in_order_of_their_first_lines() -> None:
    groups = grouped([("", each) for each in (B, A, None, B, None, A, B)])
    assert numbers_of(groups) == [[0, 3, 6], [1, 5], [2, 4]]


@pytest.mark.parametrize(
    "prefixes",
    [
        [A, A, A, A],
        [None, None, None],
        [A, None, A, None],
        [A, B, C],
        [A, A, B, A],
        [Prefix(1, 300), Prefix(2, 300), Prefix(1, 300), Prefix(2, 300)],
    ],
    ids=["one prefix", "none", "one and others", "all different", "one of them only once", "too little"],
)
def test_without_two_prefixes_worth_it_there_is_one_group(prefixes: list[Prefix | None]) -> None:
    assert len(grouped([("", each) for each in prefixes])) == 1


def test_a_prefix_must_save_a_thousandth_of_the_input() -> None:
    lines = [("", each) for each in (A, B, A, B)]
    assert len(grouped(lines, length=MIN_SAVED_BYTES * 200)) == 2
    assert len(grouped(lines, length=MIN_SAVED_BYTES * 300)) == 1


def test_only_the_prefixes_that_save_most_become_groups() -> None:
    count = MAX_GROUPS + 10
    rounds = [("", Prefix(1 + each, 2 * MIN_SAVED_BYTES + each)) for each in range(count)] * 2
    groups = grouped(rounds)
    assert len(groups) == MAX_GROUPS
    (rest,) = (group for group in groups if len(group.numbers) > 2)
    assert list(rest.numbers[:11]) == list(range(11))


def test_a_prefix_on_several_routes_counts_on_each() -> None:
    lines = [(route, Prefix(1 + each, MIN_SAVED_BYTES)) for route in "xyz" for each in range(30)] * 2
    assert len(grouped(lines)) == MAX_GROUPS


def test_lines_of_several_routes_are_always_divided() -> None:
    groups = grouped([("x", None), ("y", None), ("x", A)])
    assert [group.route for group in groups] == ["x", "y"]
    assert numbers_of(groups) == [[0, 2], [1]]


def test_an_order_like_the_input_is_no_order() -> None:
    assert arrange(grouped([("", each) for each in (A, A, B, B)])).order is None
    assert arrange(grouped([("", A)])).routes == {0: ""}
    arrangement = arrange(grouped([("x", A), ("x", A), ("x", B), ("x", B), ("y", None)]))
    assert arrangement.order is None
    assert arrangement.routes == {0: "x", 4: "y"}


def test_a_shard_begins_with_every_group() -> None:
    arrangement = arrange(grouped([("", each) for each in (A, B, A, B, B)]))
    assert arrangement.order is not None
    assert list(arrangement.order) == [0, 2, 1, 3, 4]
    assert arrangement.routes == {0: "", 2: ""}


@given(lines)
def test_results_are_merged_into_input_order(lines: list[tuple[str, Prefix | None]]) -> None:
    order = arrange(grouped(lines)).order or array("I", range(len(lines)))
    opened: list[int] = []

    def open_run(start: int, end: int) -> Iterator[int]:
        opened.append(start)
        yield from order[start:end]

    assert list(merge_runs(order, open_run)) == list(range(len(lines)))
    assert sorted(opened) == run_starts(order)


@given(st.permutations(range(40)))
def test_runs_ascend_and_no_two_could_be_one(order: list[int]) -> None:
    bounds = list(pairwise([*run_starts(order), len(order)]))
    assert [number for start, end in bounds for number in order[start:end]] == order
    assert all(order[start:end] == sorted(order[start:end]) for start, end in bounds)
    assert all(order[start - 1] > order[start] for start, _ in bounds[1:])


def test_a_run_is_opened_when_its_first_line_is_due() -> None:
    opened: list[int] = []

    def open_run(start: int, end: int) -> Iterator[list[int]]:
        opened.append(start)
        for _ in range(start, end):
            yield list(opened)

    assert list(merge_runs([0, 1, 4, 2, 3], open_run)) == [[0], [0], [0, 3], [0, 3], [0, 3]]


@given(order=st.permutations(range(20)))
def test_an_order_is_read_as_it_was_written(order: list[int]) -> None:
    assert list(decode_order(encode_order(array("I", order)))) == order
