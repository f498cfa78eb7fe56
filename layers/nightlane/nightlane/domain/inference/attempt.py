"""What to do after an attempt, and when: pure decisions, no state."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.table import Verdict

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
LONGEST_REFUSED_PAUSE_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 300.0
# When only suspects are left, a probe is all that speaks for the upstream, so they are asked again late:
# together about half a minute, as long as most restarts take.
PROBE_PAUSES_SECONDS = (2.0, 5.0, 10.0, 15.0)
LAST_PROBE_PAUSE_SECONDS = 1.0
# An error that others do not get must come twice: once may be a gateway's moment.
DENIALS_NEEDED = 2


class Step(Enum):
    """What becomes of a line."""

    KEEP = auto()
    """It has its result."""
    GIVE_UP = auto()
    """It becomes an error line with the last answer."""
    ASK_AGAIN = auto()
    """As soon as the limiter allows."""
    HOLD = auto()
    """It waits for proof that the upstream works."""
    WAIT = auto()
    """It is asked again after a rest of its own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known beside the outcome itself."""

    served: bool
    """A line of this batch was answered, ever."""
    refused_alone: bool = False
    """This line has been refused for too long, while others were answered."""
    quota_used_up: bool = False
    """Nothing but a used-up quota, for a while, in a batch that was never served."""


def decide(outcome: Outcome, evidence: Evidence) -> Step:
    """What to do with the line of this outcome."""
    match outcome.verdict:
        case Verdict.ANSWERED:
            return Step.KEEP
        case Verdict.REJECTED:
            return Step.GIVE_UP
        case Verdict.FAILED:
            return Step.HOLD
        case Verdict.DENIED:
            return Step.HOLD if evidence.served else Step.ASK_AGAIN
    if outcome.kind is Kind.QUOTA and evidence.quota_used_up:
        return Step.GIVE_UP
    return Step.HOLD if evidence.refused_alone else Step.ASK_AGAIN


@dataclass(frozen=True, slots=True)
class Proof:
    """How the upstream was seen to work."""

    by_probe: bool
    """It answered no line since, only a probe."""
    denied_for_long: bool = False
    """The line has been denied for so long that few outages would last as long."""


def decide_with_proof(outcome: Outcome, failures: int, attempts_needed: int, proof: Proof) -> Step:
    """What to do with a held line, now that the upstream is seen to work; `failures` counts its last one.

    A list of models says less of a denied line than an answer does: models are unloaded, and budgets used up,
    while it is served.
    """
    if outcome.verdict is Verdict.REFUSED:
        return Step.GIVE_UP
    if outcome.verdict is Verdict.DENIED and not proof.by_probe:
        return Step.GIVE_UP if failures >= DENIALS_NEEDED else Step.ASK_AGAIN
    if outcome.verdict is Verdict.DENIED and failures >= attempts_needed and not proof.denied_for_long:
        return Step.WAIT
    return Step.GIVE_UP if failures >= attempts_needed else Step.ASK_AGAIN


def pause_after_failure(
    failures: int, retry_after: float | None, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds before a line that failed so often, and was proven to, is asked again."""
    return _pause(failures, retry_after, LONGEST_PAUSE_SECONDS, jitter)


def pause_after_refusal(
    refusals: int, retry_after: float | None, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds before anything is asked again, after so many refusals in a row of single requests."""
    return _pause(max(0, refusals - 1), retry_after, LONGEST_REFUSED_PAUSE_SECONDS, jitter)


def pause_before_probe(failures: int, attempts_needed: int, retry_after: float | None) -> float:
    """Seconds before a probe may speak against a line that failed so often before its last failure."""
    if retry_after is not None:
        return min(retry_after, LONGEST_REFUSED_PAUSE_SECONDS)
    if failures + 1 >= attempts_needed:
        return LAST_PROBE_PAUSE_SECONDS
    return PROBE_PAUSES_SECONDS[min(failures, len(PROBE_PAUSES_SECONDS) - 1)]


def _pause(doublings: int, retry_after: float | None, longest: float, jitter: Callable[[], float]) -> float:
    """Full jitter would ask again at once now and then; half of the pause is kept."""
    if retry_after is not None:
        return min(retry_after, LONGEST_RETRY_AFTER_SECONDS) * (1 + 0.1 * jitter())
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(doublings, 16)) * (0.5 + 0.5 * jitter())
