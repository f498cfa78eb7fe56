"""Requests that take longer than any run."""

from collections.abc import Mapping

from nightlane.domain.inference.feed import Candidate
from nightlane.domain.inference.results import unanswered
from nightlane.domain.lines import LineError

# A request sent this soon after the run started and still in flight at its end is too long for any run.
RUN_START_SECONDS = 10.0


def blame_overdue(in_flight: Mapping[Candidate, float], started_at: float, line_attempts: int) -> None:
    """Count a failure for each line sent when the run started and still not answered at its end.

    `in_flight` says when each was sent; both times are on the monotonic clock.
    """
    for candidate, sent_at in in_flight.items():
        line, shard = candidate.line.number, candidate.shard
        if sent_at - started_at < RUN_START_SECONDS:
            shard.quarantine.on_failed(line)
            shard.quarantine.confirm_failure(line)
            if shard.quarantine.suspicion_of(line).failures >= line_attempts:
                shard.quarantine.forget(line)
                shard.journal.add(unanswered(candidate.line, LineError.TIMEOUT))
