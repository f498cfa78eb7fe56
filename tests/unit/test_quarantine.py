"""Suspicions about a line outlive the worker and are dropped when the line is finished."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.aws.table.items import suspicions_from_text, suspicions_to_text
from nightlane.domain.inference.quarantine import LONE_REFUSALS_NEEDED, MAX_REMEMBERED, Quarantine
from nightlane.domain.shard import Suspicion

SUSPICIONS = st.dictionaries(
    st.integers(0, 4_799),
    st.builds(Suspicion, st.integers(0, 40), st.integers(0, 2 * 10**9), st.integers(0, 500), st.booleans()),
    max_size=50,
)


def reload(quarantine: Quarantine) -> Quarantine:
    """Return the quarantine as the next worker reads it from the table."""
    return Quarantine(suspicions_from_text(suspicions_to_text(quarantine.remembered())))


@given(SUSPICIONS)
def test_suspicions_are_stored_and_read_back_unchanged(suspicions: dict[int, Suspicion]) -> None:
    quarantine = reload(Quarantine(suspicions))
    assert quarantine.remembered() == suspicions
    assert {line: quarantine.suspicion_of(line) for line in suspicions} == suspicions


def test_an_unknown_line_is_not_suspected() -> None:
    quarantine = Quarantine({})
    assert (quarantine.suspicion_of(7), quarantine.failures_in_run(7), quarantine.is_suspect(7)) == (
        Suspicion(),
        0,
        False,
    )
    quarantine.forget(7)
    assert quarantine.remembered() == {}


def test_proven_failures_add_up_over_many_workers() -> None:
    quarantine = Quarantine({})
    for workers in range(1, 6):
        quarantine.on_failed(3)
        assert quarantine.suspicion_of(3).failures == workers - 1
        quarantine.confirm_failure(3)
        quarantine = reload(quarantine)
        assert quarantine.suspicion_of(3).failures == workers
        assert quarantine.is_suspect(3)
        assert quarantine.failures_in_run(3) == 0


def test_failures_without_proof_make_a_line_a_suspect_but_do_not_count() -> None:
    quarantine = Quarantine({})
    for _ in range(10):
        quarantine.on_failed(3)
        quarantine = reload(quarantine)
    assert quarantine.is_suspect(3)
    assert quarantine.suspicion_of(3).failures == 0


def test_failures_in_the_run_include_unproven_ones_until_the_line_is_finished() -> None:
    quarantine = Quarantine({})
    for _ in range(3):
        quarantine.on_failed(3)
    quarantine.confirm_failure(3)
    assert quarantine.failures_in_run(3) == 3
    quarantine.forget(3)
    assert quarantine.failures_in_run(3) == 0
    assert quarantine.remembered() == {}


def test_of_too_many_suspects_those_with_the_most_failures_are_remembered() -> None:
    quarantine = Quarantine({})
    for line in range(3 * MAX_REMEMBERED):
        quarantine.on_failed(line)
        if line % 3 == 0:
            quarantine.confirm_failure(line)
    for line in (5, 7):
        quarantine.confirm_failure(line)
        quarantine.confirm_failure(line)
    remembered = quarantine.remembered()
    assert len(remembered) == MAX_REMEMBERED
    assert list(remembered)[:3] == [5, 7, 0]
    assert all(each.failures for each in remembered.values())


def test_a_refused_line_is_not_a_suspect_but_keeps_its_failures() -> None:
    quarantine = Quarantine({3: Suspicion(failures=2)})
    assert quarantine.is_suspect(3)
    quarantine.on_refused(3, 1_000.9, alone=False, others_answered=False)
    quarantine.on_refused(3, 2_000.0, alone=True, others_answered=True)
    assert not quarantine.is_suspect(3)
    assert quarantine.suspicion_of(3) == Suspicion(2, 1_000, 1, others_answered=True)
    quarantine.on_failed(3)
    assert quarantine.suspicion_of(3) == Suspicion(2, 0, 0, others_answered=True)


def refuse(quarantine: Quarantine, times: int, **changes: bool) -> Quarantine:
    for second in range(times):
        circumstances = {"alone": True, "others_answered": True} | changes
        quarantine.on_refused(3, 1_000 + second, **circumstances)
    return reload(quarantine)


@pytest.mark.parametrize(
    ("history", "now", "alone"),
    [
        (lambda quarantine: refuse(quarantine, LONE_REFUSALS_NEEDED), 1_100, True),
        (lambda quarantine: refuse(quarantine, LONE_REFUSALS_NEEDED), 1_099, False),
        (lambda quarantine: refuse(quarantine, LONE_REFUSALS_NEEDED - 1), 10**9, False),
        (lambda quarantine: refuse(quarantine, 1_000, alone=False), 10**9, False),
        (lambda quarantine: refuse(quarantine, 1_000, others_answered=False), 10**9, False),
        (lambda quarantine: quarantine, 10**9, False),
    ],
    ids=["all three", "too early", "too few", "with others in flight", "no other was answered", "never"],
)
def test_a_line_is_refused_alone_after_long_lone_refusals_while_others_are_answered(
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
def test_a_line_is_denied_for_long_after_only_denials_for_a_third_of_the_patience(
    history: list[str], now: float, for_long: bool
) -> None:
    quarantine = Quarantine({})
    for second, event in enumerate(history, 1_000):
        if event == "denied":
            quarantine.on_denied(3, second)
        elif event == "failed":
            quarantine.on_failed(3)
        else:
            quarantine.on_refused(3, second, alone=True, others_answered=True)
    assert reload(quarantine).is_denied_for_long(3, now, 300) is for_long
    assert quarantine.failures_in_run(3) == len(history) - history.count("refused")
