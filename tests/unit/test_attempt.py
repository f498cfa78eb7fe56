"""What happens to a line after an attempt: a table of decisions, and pauses within bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlane.domain.inference.attempt import (
    DENIALS_NEEDED,
    LAST_PROBE_PAUSE_SECONDS,
    PROBE_PAUSES_SECONDS,
    Evidence,
    Proof,
    Step,
    decide,
    decide_with_proof,
    pause_after_failure,
    pause_after_refusal,
    pause_before_probe,
)
from nightlane.domain.inference.outcomes import NO_BODY, Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.table import Verdict

NEW, SERVED = Evidence(served=False), Evidence(served=True)
ALONE = Evidence(served=True, refused_alone=True)
USED_UP = Evidence(served=False, quota_used_up=True)


def outcome(verdict: Verdict, kind: Kind = Kind.RATE_LIMITED) -> Outcome:
    return Outcome(verdict, kind, None, NO_BODY, "")


@pytest.mark.parametrize(
    ("ended", "new", "served", "alone", "used_up"),
    [
        (outcome(Verdict.ANSWERED), Step.KEEP, Step.KEEP, Step.KEEP, Step.KEEP),
        (outcome(Verdict.REJECTED), Step.GIVE_UP, Step.GIVE_UP, Step.GIVE_UP, Step.GIVE_UP),
        (outcome(Verdict.FAILED), Step.HOLD, Step.HOLD, Step.HOLD, Step.HOLD),
        (outcome(Verdict.DENIED), Step.RETRY, Step.HOLD, Step.HOLD, Step.RETRY),
        (outcome(Verdict.REFUSED), Step.RETRY, Step.RETRY, Step.HOLD, Step.RETRY),
        (outcome(Verdict.REFUSED, Kind.QUOTA), Step.RETRY, Step.RETRY, Step.HOLD, Step.GIVE_UP),
    ],
    ids=lambda value: value.verdict.value if isinstance(value, Outcome) else value.name,
)
def test_the_next_step_of_a_line_depends_on_its_outcome_and_on_those_of_others(
    ended: Outcome, new: Step, served: Step, alone: Step, used_up: Step
) -> None:
    steps = [decide(ended, evidence) for evidence in (NEW, SERVED, ALONE, USED_UP)]
    assert steps == [new, served, alone, used_up]


BY_A_LINE, BY_A_PROBE = Proof(by_probe=False), Proof(by_probe=True)


@pytest.mark.parametrize(
    ("verdict", "attempts_needed", "given_up_at", "proof"),
    [
        (Verdict.FAILED, 1, 1, BY_A_LINE),
        (Verdict.FAILED, 5, 5, BY_A_PROBE),
        (Verdict.FAILED, 40, 40, BY_A_LINE),
        (Verdict.DENIED, 5, DENIALS_NEEDED, BY_A_LINE),
        (Verdict.DENIED, 40, DENIALS_NEEDED, BY_A_LINE),
        (Verdict.DENIED, 5, 5, Proof(by_probe=True, denied_for_long=True)),
        (Verdict.REFUSED, 5, 0, BY_A_LINE),
    ],
)
def test_with_proof_a_held_line_is_given_up_once_it_has_failed_often_enough(
    verdict: Verdict, attempts_needed: int, given_up_at: int, proof: Proof
) -> None:
    steps = [decide_with_proof(outcome(verdict), failures, attempts_needed, proof) for failures in range(50)]
    assert steps == [Step.RETRY] * given_up_at + [Step.GIVE_UP] * (50 - given_up_at)


def test_with_only_a_list_of_models_as_proof_a_denied_line_waits() -> None:
    steps = [decide_with_proof(outcome(Verdict.DENIED), failures, 5, BY_A_PROBE) for failures in range(50)]
    assert steps == [Step.RETRY] * 5 + [Step.WAIT] * 45


JITTER = st.floats(0, 1)


@given(failures=st.integers(0, 10_000), jitter=JITTER)
def test_pauses_after_failures_grow_to_ten_seconds(failures: int, jitter: float) -> None:
    pause = pause_after_failure(failures, None, lambda: jitter)
    assert 0.25 <= pause <= 10
    assert pause <= pause_after_failure(failures + 1, None, lambda: jitter)


@given(refusals=st.integers(0, 10_000), jitter=JITTER)
def test_pauses_after_refusals_grow_to_half_a_minute(refusals: int, jitter: float) -> None:
    pause = pause_after_refusal(refusals, None, lambda: jitter)
    assert 0.25 <= pause <= 30
    assert pause <= pause_after_refusal(refusals + 1, None, lambda: jitter)


def test_pauses_start_short_and_double_each_time() -> None:
    for pauses in (
        [pause_after_failure(failures, None, lambda: 1.0) for failures in range(5)],
        [pause_after_refusal(refusals, None, lambda: 1.0) for refusals in range(1, 6)],
    ):
        assert pauses == [0.5, 1, 2, 4, 8]


@given(requested=st.floats(0, allow_nan=False), times=st.integers(0, 100), jitter=JITTER)
def test_a_requested_pause_is_honoured_up_to_five_minutes(
    requested: float, times: int, jitter: float
) -> None:
    for pause in (pause_after_failure, pause_after_refusal):
        assert min(requested, 300) <= pause(times, requested, lambda: jitter) <= 330


@given(requested=st.floats(0, allow_nan=False), failures=st.integers(0, 100), needed=st.integers(1, 40))
def test_a_requested_pause_before_a_probe_is_honoured_up_to_half_a_minute(
    requested: float, failures: int, needed: int
) -> None:
    assert pause_before_probe(failures, needed, requested) == min(requested, 30)


def test_pauses_before_probes_grow_but_the_last_one_is_short() -> None:
    pauses = [pause_before_probe(failures, 5, None) for failures in range(6)]
    assert pauses == [*PROBE_PAUSES_SECONDS, LAST_PROBE_PAUSE_SECONDS, LAST_PROBE_PAUSE_SECONDS]
    assert all(earlier < later for earlier, later in itertools.pairwise(PROBE_PAUSES_SECONDS))
    # So a bad line ends within three minutes, even if each generation takes 20 s.
    assert sum(pauses[:5]) < 60
    assert pause_before_probe(30, 40, None) == PROBE_PAUSES_SECONDS[-1]
