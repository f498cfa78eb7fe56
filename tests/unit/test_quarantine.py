"""What is held against a line outlives the worker, and ends with the line."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.aws.table.items import suspicions_from_text, suspicions_to_text
from nightlane.domain.inference.quarantine import LONE_REFUSALS_NEEDED, MOST_REMEMBERED, Quarantine
from nightlane.domain.shard import Suspicion

SUSPICIONS = st.dictionaries(
    st.integers(0, 4_799),
    st.builds(Suspicion, st.integers(0, 40), st.integers(0, 2 * 10**9), st.integers(0, 500), st.booleans()),
    max_size=50,
)


def stored(quarantine: Quarantine) -> Quarantine:
    """As the next worker has it, from the table."""
    return Quarantine(suspicions_from_text(suspicions_to_text(quarantine.remembered())))


@given(SUSPICIONS)
def test_what_is_remembered_comes_back_the_same(suspicions: dict[int, Suspicion]) -> None:
    quarantine = stored(Quarantine(suspicions))
    assert quarantine.remembered() == suspicions
    assert {line: quarantine.of(line) for line in suspicions} == suspicions


def test_nothing_is_held_against_a_line_nobody_knows() -> None:
    quarantine = Quarantine({})
    assert (quarantine.of(7), quarantine.failures(7), quarantine.has_failed(7)) == (Suspicion(), 0, False)
    quarantine.forget(7)
    assert quarantine.remembered() == {}


def test_failures_that_were_proven_count_over_many_workers() -> None:
    quarantine = Quarantine({})
    for workers in range(1, 6):
        quarantine.on_failed(3)
        assert quarantine.of(3).failures == workers - 1
        quarantine.prove(3)
        quarantine = stored(quarantine)
        assert quarantine.of(3).failures == workers
        assert quarantine.has_failed(3)
        assert quarantine.failures(3) == 0


def test_a_failure_without_proof_makes_a_suspect_and_no_culprit() -> None:
    quarantine = Quarantine({})
    for _ in range(10):
        quarantine.on_failed(3)
        quarantine = stored(quarantine)
    assert quarantine.has_failed(3)
    assert quarantine.of(3).failures == 0


def test_the_failures_of_a_run_count_proven_or_not_until_the_line_is_finished() -> None:
    quarantine = Quarantine({})
    for _ in range(3):
        quarantine.on_failed(3)
    quarantine.prove(3)
    assert quarantine.failures(3) == 3
    quarantine.forget(3)
    assert quarantine.failures(3) == 0
    assert quarantine.remembered() == {}


def test_of_very_many_suspects_those_that_failed_most_are_remembered() -> None:
    quarantine = Quarantine({})
    for line in range(3 * MOST_REMEMBERED):
        quarantine.on_failed(line)
        if line % 3 == 0:
            quarantine.prove(line)
    for line in (5, 7):
        quarantine.prove(line)
        quarantine.prove(line)
    remembered = quarantine.remembered()
    assert len(remembered) == MOST_REMEMBERED
    assert list(remembered)[:3] == [5, 7, 0]
    assert all(each.failures for each in remembered.values())


def test_a_line_that_is_refused_is_no_suspect_and_its_failures_stay() -> None:
    quarantine = Quarantine({3: Suspicion(failures=2)})
    assert quarantine.has_failed(3)
    quarantine.on_refused(3, 1_000.9, alone=False, others_answered=False)
    quarantine.on_refused(3, 2_000.0, alone=True, others_answered=True)
    assert not quarantine.has_failed(3)
    assert quarantine.of(3) == Suspicion(2, 1_000, 1, others_answered=True)
    quarantine.on_failed(3)
    assert quarantine.of(3) == Suspicion(2, 0, 0, others_answered=True)


def refused(quarantine: Quarantine, times: int, **how: bool) -> Quarantine:
    for at in range(times):
        given_how = {"alone": True, "others_answered": True} | how
        quarantine.on_refused(3, 1_000 + at, **given_how)
    return stored(quarantine)


@pytest.mark.parametrize(
    ("history", "now", "alone"),
    [
        (lambda quarantine: refused(quarantine, LONE_REFUSALS_NEEDED), 1_100, True),
        (lambda quarantine: refused(quarantine, LONE_REFUSALS_NEEDED), 1_099, False),
        (lambda quarantine: refused(quarantine, LONE_REFUSALS_NEEDED - 1), 10**9, False),
        (lambda quarantine: refused(quarantine, 1_000, alone=False), 10**9, False),
        (lambda quarantine: refused(quarantine, 1_000, others_answered=False), 10**9, False),
        (lambda quarantine: quarantine, 10**9, False),
    ],
    ids=["all three", "too early", "too few", "beside others", "nobody was answered", "never"],
)
def test_only_a_line_that_alone_is_refused_for_long_is_at_fault(
    history: Callable[[Quarantine], Quarantine], now: float, alone: bool
) -> None:
    assert history(Quarantine({})).is_refused_alone(3, now, 100) == alone


@pytest.mark.parametrize(
    ("history", "now", "for_long"),
    [
        (["denied"], 1_100, True),
        (["denied"], 1_099, False),
        (["denied", "denied"], 1_100, True),
        (["denied", "failed", "denied"], 1_100, False),
        (["denied", "refused", "denied"], 1_100, False),
        (["refused"], 10**9, False),
        ([], 10**9, False),
    ],
)
def test_a_line_is_denied_for_long_after_a_third_of_the_patience_of_nothing_but_denials(
    history: list[str], now: float, for_long: bool
) -> None:
    quarantine = Quarantine({})
    for at, what in enumerate(history, 1_000):
        if what == "denied":
            quarantine.on_denied(3, at)
        elif what == "failed":
            quarantine.on_failed(3)
        else:
            quarantine.on_refused(3, at, alone=True, others_answered=True)
    assert stored(quarantine).is_denied_for_long(3, now, 300) is for_long
    assert quarantine.failures(3) == len(history) - history.count("refused")
