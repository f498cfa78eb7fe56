"""What was learned about an upstream is worth less the older it is, and is stored only when it is news."""

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.learned import LEARNED_SECONDS, REFRESH_SECONDS, LearnedLimit, is_notable

requests = st.integers(1, 900)


@given(learned=requests, fallback=requests, age=st.floats(0, 10 * LEARNED_SECONDS))
def test_the_start_is_between_what_was_learned_and_the_fallback(
    learned: int, fallback: int, age: float
) -> None:
    start = LearnedLimit(learned, 0).start(fallback, age)
    low, high = sorted((learned, fallback))
    assert low * 0.999 <= start <= high * 1.001


@given(learned=requests, fallback=requests)
def test_what_was_just_learned_is_the_start_and_after_a_day_it_is_forgotten(
    learned: int, fallback: int
) -> None:
    known = LearnedLimit(learned, 1_000)
    assert known.start(fallback, 1_000) == learned
    assert round(known.start(fallback, 1_000 + LEARNED_SECONDS), 6) == fallback


def test_a_limit_is_stored_when_it_is_first_learned_has_changed_or_is_old() -> None:
    known = LearnedLimit(8, 0)
    assert not is_notable(None, 32, 32, 0)
    assert is_notable(None, 8, 32, 0)
    assert not is_notable(known, 9, 32, 60)
    assert is_notable(known, 4, 32, 60)
    assert is_notable(known, 32, 32, 60)
    assert is_notable(known, 8, 32, REFRESH_SECONDS)
    assert not is_notable(LearnedLimit(32, 0), 32, 32, REFRESH_SECONDS)


def test_a_run_with_fewer_slots_than_the_upstream_takes_stores_nothing() -> None:
    assert not is_notable(LearnedLimit(8, 0), 1, 1, 60)
    assert is_notable(LearnedLimit(8, 0), 1, 2, 60)
