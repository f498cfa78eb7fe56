"""When an upstream is doubtful or down or needs a probe, and how many failures it takes to blame a line."""

from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.health import (
    DOUBTFUL_STREAK,
    LONE_ATTEMPTS_BEFORE_DOWN,
    LONE_ATTEMPTS_WHILE_PROBES_SUCCEED,
    MAX_ATTEMPTS,
    MAX_FALSE_BLAME_PROBABILITY,
    Health,
)
from nightlane.domain.trouble import Trouble


def leave_unanswered(health: Health, times: int = 1, *, alone: bool = True, failed: bool = False) -> None:
    for _ in range(times):
        health.on_unanswered(Trouble("overloaded", 503, "busy", 100), alone=alone, failed=failed)


def answer(health: Health, failures_before: int = 0) -> None:
    health.on_answered(health.begin(), failures_before)


def test_only_refusals_of_single_requests_are_an_outage() -> None:
    health = Health()
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN - 1)
    assert not health.is_down
    leave_unanswered(health)
    assert health.is_down
    assert not health.needs_probe


def test_refusals_while_other_requests_are_in_flight_are_never_an_outage() -> None:
    health = Health()
    leave_unanswered(health, 1_000, alone=False)
    assert health.is_doubtful
    assert not health.is_down


def test_an_answer_between_refusals_keeps_the_upstream_up() -> None:
    health = Health()
    for _ in range(20):
        leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN - 1)
        answer(health)
    assert (health.unanswered_streak, health.lone_streak, health.is_down) == (0, 0, False)


def test_after_a_rest_one_refusal_is_an_outage_unless_an_answer_came_first() -> None:
    health = Health(probing=True)
    assert not health.is_down
    leave_unanswered(health)
    assert health.is_down
    health = Health(probing=True)
    answer(health)
    leave_unanswered(health)
    assert not health.is_down


def test_failures_alone_require_a_probe_first() -> None:
    health = Health()
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN, failed=True)
    assert health.needs_probe
    assert not health.is_down


def test_failures_and_a_failed_probe_are_an_outage() -> None:
    health = Health()
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN, failed=True)
    health.on_probe(succeeded=False)
    assert health.is_down
    assert not health.needs_probe


def test_many_failures_are_an_outage_even_while_probes_succeed() -> None:
    health = Health()
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN, failed=True)
    health.on_probe(succeeded=True)
    assert not health.needs_probe
    leave_unanswered(health, LONE_ATTEMPTS_WHILE_PROBES_SUCCEED - LONE_ATTEMPTS_BEFORE_DOWN - 1, failed=True)
    assert not health.is_down
    leave_unanswered(health, failed=True)
    assert health.is_down


def test_one_refusal_among_failures_needs_no_probe() -> None:
    health = Health()
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN - 1, failed=True)
    leave_unanswered(health)
    assert health.is_down
    assert not health.needs_probe


def test_after_a_sign_of_life_failures_require_a_new_probe() -> None:
    health = Health()
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN)
    health.on_probe(succeeded=False)
    health.on_alive()
    assert not health.is_down
    leave_unanswered(health, LONE_ATTEMPTS_BEFORE_DOWN, failed=True)
    assert health.needs_probe


def test_an_upstream_is_doubtful_after_a_few_consecutive_unanswered_attempts() -> None:
    health = Health()
    leave_unanswered(health, DOUBTFUL_STREAK - 1, alone=False, failed=True)
    assert not health.is_doubtful
    leave_unanswered(health, alone=False)
    assert health.is_doubtful
    answer(health)
    assert not health.is_doubtful


def test_the_trouble_has_the_last_reason_and_the_time_of_the_first() -> None:
    health = Health()
    health.on_unanswered(Trouble("overloaded", 503, "busy", 100), alone=True, failed=False)
    health.on_unanswered(Trouble("denied", 401, "no", 170), alone=True, failed=False)
    assert health.trouble == Trouble("denied", 401, "no", 100)
    answer(health)
    assert health.trouble is None
    health.on_unanswered(Trouble("timeout", None, "", 200), alone=True, failed=True)
    assert health.trouble == Trouble("timeout", None, "", 200)


def test_only_the_answer_to_a_later_attempt_proves_that_the_upstream_has_worked_since() -> None:
    health = Health()
    assert [health.begin() for _ in range(3)] == [1, 2, 3]
    health.on_answered(2, 0)
    assert [health.worked_since(serial) for serial in (1, 2, 3)] == [True, False, False]
    health.on_answered(1, 0)
    assert not health.worked_since(2)
    health.on_answered(3, 0)
    assert health.worked_since(2)


@given(line_attempts=st.integers(1, 20), answers=st.integers(0, 1_000))
def test_where_good_lines_do_not_fail_the_configured_attempts_are_enough(
    line_attempts: int, answers: int
) -> None:
    health = Health()
    for _ in range(answers):
        answer(health)
    assert health.attempts_needed(line_attempts) == line_attempts


@given(failures=st.lists(st.integers(0, 30), min_size=1, max_size=200), line_attempts=st.integers(1, 20))
def test_where_good_lines_fail_often_it_takes_more_failures_to_blame_a_line(
    failures: list[int], line_attempts: int
) -> None:
    health = Health()
    for count in failures:
        answer(health, count)
    needed = health.attempts_needed(line_attempts)
    assert line_attempts <= needed <= MAX_ATTEMPTS
    rate = sum(failures) / (len(failures) + sum(failures) + 20)
    assert needed == MAX_ATTEMPTS or rate**needed <= MAX_FALSE_BLAME_PROBABILITY * 1.001
    answer(health, 30)
    assert health.attempts_needed(line_attempts) >= min(needed, MAX_ATTEMPTS)


def test_an_upstream_that_fails_every_third_request_needs_a_dozen_failures_to_blame_a_line() -> None:
    health = Health()
    for number in range(1_000):
        answer(health, failures_before=number % 2)
    assert 12 <= health.attempts_needed(5) <= 13
