"""When an upstream is doubtful, down, or to be probed, and how much must speak against a line."""

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.health import (
    ALONE_BEFORE_DOWN,
    ALONE_WHILE_PROBES_SUCCEED,
    BLAME_BY_CHANCE,
    DOUBTFUL_STREAK,
    MOST_ATTEMPTS,
    Health,
)
from nightlane.domain.trouble import Trouble


def unanswered(health: Health, times: int = 1, *, alone: bool = True, failed: bool = False) -> None:
    for _ in range(times):
        health.on_unanswered(Trouble("overloaded", 503, "busy", 100), alone=alone, failed=failed)


def answered(health: Health, failures_before: int = 0) -> None:
    health.on_answered(health.begin(), failures_before)


def test_nothing_but_refusals_of_single_requests_is_an_outage() -> None:
    health = Health()
    unanswered(health, ALONE_BEFORE_DOWN - 1)
    assert not health.is_down
    unanswered(health)
    assert health.is_down
    assert not health.wants_probe


def test_refusals_beside_other_requests_are_no_outage_however_many() -> None:
    health = Health()
    unanswered(health, 1_000, alone=False)
    assert health.is_doubtful
    assert not health.is_down


def test_an_answer_between_refusals_keeps_the_upstream_up() -> None:
    health = Health()
    for _ in range(20):
        unanswered(health, ALONE_BEFORE_DOWN - 1)
        answered(health)
    assert (health.streak, health.alone, health.is_down) == (0, 0, False)


def test_after_a_rest_one_refusal_is_enough_and_one_answer_ends_that() -> None:
    health = Health(probing=True)
    assert not health.is_down
    unanswered(health)
    assert health.is_down
    health = Health(probing=True)
    answered(health)
    unanswered(health)
    assert not health.is_down


def test_failures_alone_call_for_a_probe_first() -> None:
    health = Health()
    unanswered(health, ALONE_BEFORE_DOWN, failed=True)
    assert health.wants_probe
    assert not health.is_down


def test_failures_and_a_probe_that_fails_are_an_outage() -> None:
    health = Health()
    unanswered(health, ALONE_BEFORE_DOWN, failed=True)
    health.on_probe(succeeded=False)
    assert health.is_down
    assert not health.wants_probe


def test_failures_while_probes_succeed_are_an_outage_only_when_there_are_many() -> None:
    health = Health()
    unanswered(health, ALONE_BEFORE_DOWN, failed=True)
    health.on_probe(succeeded=True)
    assert not health.wants_probe
    unanswered(health, ALONE_WHILE_PROBES_SUCCEED - ALONE_BEFORE_DOWN - 1, failed=True)
    assert not health.is_down
    unanswered(health, failed=True)
    assert health.is_down


def test_one_refusal_among_failures_needs_no_probe() -> None:
    health = Health()
    unanswered(health, ALONE_BEFORE_DOWN - 1, failed=True)
    unanswered(health)
    assert health.is_down
    assert not health.wants_probe


def test_a_sign_of_life_makes_failures_call_for_a_probe_anew() -> None:
    health = Health()
    unanswered(health, ALONE_BEFORE_DOWN)
    health.on_probe(succeeded=False)
    health.on_alive()
    assert not health.is_down
    unanswered(health, ALONE_BEFORE_DOWN, failed=True)
    assert health.wants_probe


def test_an_upstream_is_doubtful_after_a_few_attempts_in_a_row_without_an_answer() -> None:
    health = Health()
    unanswered(health, DOUBTFUL_STREAK - 1, alone=False, failed=True)
    assert not health.is_doubtful
    unanswered(health, alone=False)
    assert health.is_doubtful
    answered(health)
    assert not health.is_doubtful


def test_the_trouble_is_the_last_one_since_the_first_one() -> None:
    health = Health()
    health.on_unanswered(Trouble("overloaded", 503, "busy", 100), alone=True, failed=False)
    health.on_unanswered(Trouble("denied", 401, "no", 170), alone=True, failed=False)
    assert health.trouble == Trouble("denied", 401, "no", 100)
    answered(health)
    assert health.trouble is None
    health.on_unanswered(Trouble("timeout", None, "", 200), alone=True, failed=True)
    assert health.trouble == Trouble("timeout", None, "", 200)


def test_only_an_attempt_that_began_later_shows_that_the_upstream_worked_since() -> None:
    health = Health()
    assert [health.begin() for _ in range(3)] == [1, 2, 3]
    health.on_answered(2, 0)
    assert [health.worked_since(serial) for serial in (1, 2, 3)] == [True, False, False]
    health.on_answered(1, 0)
    assert not health.worked_since(2)
    health.on_answered(3, 0)
    assert health.worked_since(2)


@given(line_attempts=st.integers(1, 20), answers=st.integers(0, 1_000))
def test_where_good_lines_do_not_fail_the_usual_attempts_are_enough(line_attempts: int, answers: int) -> None:
    health = Health()
    for _ in range(answers):
        answered(health)
    assert health.attempts_needed(line_attempts) == line_attempts


@given(failures=st.lists(st.integers(0, 30), min_size=1, max_size=200), line_attempts=st.integers(1, 20))
def test_where_good_lines_fail_often_a_line_must_fail_more_often_to_be_blamed(
    failures: list[int], line_attempts: int
) -> None:
    health = Health()
    for count in failures:
        answered(health, count)
    needed = health.attempts_needed(line_attempts)
    assert line_attempts <= needed <= MOST_ATTEMPTS
    rate = sum(failures) / (len(failures) + sum(failures) + 20)
    assert needed == MOST_ATTEMPTS or rate**needed <= BLAME_BY_CHANCE * 1.001
    answered(health, 30)
    assert health.attempts_needed(line_attempts) >= min(needed, MOST_ATTEMPTS)


def test_an_upstream_that_fails_every_third_request_makes_no_line_the_culprit_early() -> None:
    health = Health()
    for number in range(1_000):
        answered(health, failures_before=number % 2)
    assert 12 <= health.attempts_needed(5) <= 13
