"""What to do after an attempt, and when. Pure decisions without state."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.table import Verdict

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 10.0
MAX_REFUSED_PAUSE_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 300.0
# When only suspects are left, a probe is the only evidence that the upstream works. The pauses before these
# probes add up to about half a minute, as long as most restarts take.
PROBE_PAUSES_SECONDS = (2.0, 5.0, 10.0, 15.0)
LAST_PROBE_PAUSE_SECONDS = 1.0
# How long a line that needs a rest is held while other lines keep the worker busy.
WAIT_PAUSE_SECONDS = 30.0
# A line is denied twice before it is blamed: a single denial may be a gateway's glitch.
DENIALS_NEEDED = 2


class Step(Enum):
    """What happens to a line after an attempt."""

    KEEP = auto()
    """It has its result."""
    GIVE_UP = auto()
    """It becomes an error line with the last answer."""
    RETRY = auto()
    """It is retried as soon as the limiter allows."""
    HOLD = auto()
    """It is held until there is proof that the upstream works."""
    WAIT = auto()
    """It is retried after a rest of its own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known besides the outcome itself."""

    served: bool
    """Some line of this batch has been answered."""
    refused_alone: bool = False
    """This line has been refused for too long while others were answered."""
    quota_used_up: bool = False
    """No line of the batch was ever answered, and for a while every outcome has been an exhausted quota."""


def decide(outcome: Outcome, evidence: Evidence) -> Step:
    """Return what happens to the line after this outcome."""
    match outcome.verdict:
        case Verdict.ANSWERED:
            return Step.KEEP
        case Verdict.REJECTED:
            return Step.GIVE_UP
        case Verdict.FAILED:
            return Step.HOLD
        case Verdict.DENIED:
            return Step.HOLD if evidence.served else Step.RETRY
    if outcome.kind is Kind.QUOTA and evidence.quota_used_up:
        return Step.GIVE_UP
    return Step.HOLD if evidence.refused_alone else Step.RETRY


@dataclass(frozen=True, slots=True)
class Proof:
    """How it is known that the upstream works."""

    by_probe: bool
    """It has only answered a probe since the line's attempt, not another line."""
    denied_for_long: bool = False
    """The line has been denied for longer than most outages last."""


def decide_with_proof(outcome: Outcome, failures: int, attempts_needed: int, proof: Proof) -> Step:
    """Return what happens to a held line now that the upstream works; `failures` includes its last one.

    For a denied line, a list of models is weaker proof than an answer: it is often served while a model is
    unloaded or an account has no credit.
    """
    if outcome.verdict is Verdict.REFUSED:
        return Step.GIVE_UP
    if outcome.verdict is Verdict.DENIED and not proof.by_probe:
        return Step.GIVE_UP if failures >= DENIALS_NEEDED else Step.RETRY
    if outcome.verdict is Verdict.DENIED and failures >= attempts_needed and not proof.denied_for_long:
        return Step.WAIT
    return Step.GIVE_UP if failures >= attempts_needed else Step.RETRY


def pause_after_failure(
    failures: int, retry_after: float | None, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds before a line with this many proven failures is retried."""
    return _pause(failures, retry_after, MAX_PAUSE_SECONDS, jitter)


def pause_after_refusal(
    refusals: int, retry_after: float | None, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds before anything is sent again, after this many consecutive refusals of single requests."""
    return _pause(max(0, refusals - 1), retry_after, MAX_REFUSED_PAUSE_SECONDS, jitter)


def pause_before_probe(failures: int, attempts_needed: int, retry_after: float | None) -> float:
    """Seconds before a probe counts as proof against a line with this many failures before its last one."""
    if retry_after is not None:
        return min(retry_after, MAX_REFUSED_PAUSE_SECONDS)
    if failures + 1 >= attempts_needed:
        return LAST_PROBE_PAUSE_SECONDS
    return PROBE_PAUSES_SECONDS[min(failures, len(PROBE_PAUSES_SECONDS) - 1)]


def _pause(doublings: int, retry_after: float | None, longest: float, jitter: Callable[[], float]) -> float:
    """Jitter only half of the pause: full jitter would sometimes retry immediately."""
    if retry_after is not None:
        return min(retry_after, MAX_RETRY_AFTER_SECONDS) * (1 + 0.1 * jitter())
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(doublings, 16)) * (0.5 + 0.5 * jitter())
