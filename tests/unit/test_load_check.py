"""Refusals are ignored only where fewer requests in flight are refused just as often."""

import itertools

from nightlane.domain.inference.load_check import IGNORED_REQUESTS, MIN_REQUESTS, LoadCheck


def count(check: LoadCheck, level: float, refused_each: int, requests: int) -> list[float]:
    """Count requests of which every n-th is refused; returns the levels to go back to."""
    found = [check.count(level, refused=number % refused_each == 0) for number in range(requests)]
    return [each for each in found if each is not None]


def test_a_share_that_half_the_level_does_not_change_is_not_due_to_the_load() -> None:
    check = LoadCheck()
    assert count(check, 32, 4, MIN_REQUESTS) == []
    assert count(check, 16, 4, MIN_REQUESTS) == [32]
    assert check.ignores_refusals


def test_a_share_that_falls_with_the_level_is_due_to_the_load() -> None:
    check = LoadCheck()
    assert count(check, 32, 3, MIN_REQUESTS) == []
    assert count(check, 16, 10, MIN_REQUESTS) == []
    assert not check.ignores_refusals


def test_an_outage_is_not_ignored() -> None:
    check = LoadCheck()
    assert list(itertools.chain(*(count(check, level, 1, MIN_REQUESTS) for level in (32, 16, 8, 4)))) == []


def test_refusals_are_ignored_for_a_while_and_not_if_their_share_rises() -> None:
    for refused_each, ignored in ((4, IGNORED_REQUESTS), (2, 2 * MIN_REQUESTS)):
        check = LoadCheck()
        count(check, 32, 4, MIN_REQUESTS)
        count(check, 16, 4, MIN_REQUESTS)
        count(check, 32, refused_each, ignored - 1)
        assert check.ignores_refusals
        count(check, 32, refused_each, 1)
        assert not check.ignores_refusals
