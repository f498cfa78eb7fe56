"""Sends lines to the upstream and decides, from each outcome, what happens to the line."""

from msgspec.structs import replace

from nightlane.domain.inference.attempt import (
    WAIT_PAUSE_SECONDS,
    Evidence,
    Proof,
    Step,
    decide,
    decide_with_proof,
    pause_after_failure,
    pause_before_probe,
)
from nightlane.domain.inference.feed import Candidate
from nightlane.domain.inference.limiter import Ended
from nightlane.domain.inference.outcomes import Judge, Outcome, is_alive, is_large, is_refused, judge
from nightlane.domain.inference.ports import Answer, NoAnswer, Upstream
from nightlane.domain.inference.quarantine import NEVER_THE_LINES_FAULT
from nightlane.domain.inference.results import Result, answered, given_up
from nightlane.domain.inference.supervisor import Stop
from nightlane.domain.inference.table import Verdict
from nightlane.domain.inference.tools import Tools
from nightlane.domain.ports import Ports
from nightlane.settings import InferenceSettings

# Other lines go before a refused one, even if the upstream asks for it at once (`Retry-After: 0`).
REFUSED_LINE_PAUSE_SECONDS = 0.1


class Sender:
    """Sends lines, and adds the result of each to the journal of its shard."""

    def __init__(self, ports: Ports[InferenceSettings], upstream: Upstream, path: str, tools: Tools) -> None:
        self.in_flight: dict[Candidate, float] = {}
        """The lines in flight, and when each was sent, on the monotonic clock."""
        self._ports = ports
        self._upstream = upstream
        self._path = path
        self._tools = tools
        self._judge = Judge()

    async def send(self, candidate: Candidate) -> None:
        """Make one attempt on a line and act on its outcome."""
        before, candidate.serial = candidate.serial, self._tools.health.begin()
        outcome, request = await self._attempt(candidate)
        if outcome.verdict in (Verdict.ANSWERED, Verdict.REJECTED):
            result_of = answered if outcome.verdict is Verdict.ANSWERED else given_up
            result = result_of(candidate.line, outcome)
            self._on_answered(candidate, replace(request, output_tokens=result.usage.output_tokens))
            self._end(candidate, result)
        else:
            self._on_trouble(candidate, outcome, before, request)

    async def probe(self) -> None:
        """Check whether the upstream works at all: only suspects are left, or every attempt failed."""
        tools = self._tools
        end: Answer | NoAnswer
        try:
            end = await self._upstream.probe()
        except NoAnswer as no_answer:
            end = no_answer
        tools.feed.end_probe()
        alive = is_alive(end)
        tools.health.on_probe(succeeded=alive)
        if alive and (tools.feed.has_new or self._prove_held(end)):
            return
        outcome = judge(end)
        tools.monitor.on_trouble(outcome, alone=not self.in_flight)
        tools.monitor.pause(outcome, alone=True)
        self._rest_if_down(outcome)

    async def _attempt(self, candidate: Candidate) -> tuple[Outcome, Ended]:
        tools, body = self._tools, bytes(candidate.line.request.body)
        began = self.in_flight[candidate] = tools.traffic.begin()
        tools.budget.take(len(body))
        end: Answer | NoAnswer
        try:
            end = await self._upstream.post(self._path, body)
        except NoAnswer as no_answer:
            end = no_answer
        finally:
            ended = tools.traffic.end()
            tools.budget.give_back(len(body))
        del self.in_flight[candidate]
        if isinstance(end, Answer):
            tools.supervisor.on_answer(ended - began)
        outcome = await self._judge.judge(end) if is_large(end) else judge(end)
        tools.traffic.note(outcome, ended - began)
        return outcome, Ended(began, ended, len(self.in_flight))

    def _end(self, candidate: Candidate, result: Result) -> None:
        candidate.shard.quarantine.forget(candidate.line.number)
        candidate.shard.journal.add(result)

    def _on_answered(self, candidate: Candidate, request: Ended) -> None:
        """The upstream works, which is evidence against the lines that failed earlier."""
        tools, quarantine = self._tools, candidate.shard.quarantine
        failures_before = quarantine.failures_in_run(candidate.line.number)
        tools.monitor.on_answered(candidate.serial, failures_before, request)
        for held in tools.feed.release(lambda each: tools.health.worked_since(each.serial)):
            self._on_proof(held, by_probe=False)

    def _on_trouble(self, candidate: Candidate, outcome: Outcome, before: int, request: Ended) -> None:
        tools, others = self._tools, request.others
        # A suspect that fails again says nothing about the upstream; a probe will.
        is_evidence = candidate.last is None or tools.feed.has_new or outcome.verdict is not Verdict.FAILED
        tools.monitor.on_trouble(outcome, alone=is_evidence and not others)
        candidate.last, candidate.needs_rest = outcome, False
        step = decide(outcome, self._evidence(candidate, outcome, before, alone=not others))
        if step is Step.GIVE_UP:
            tools.monitor.on_given_up(request)
            self._end(candidate, given_up(candidate.line, outcome))
            return
        tools.monitor.slow_down(outcome, request)
        if step is Step.RETRY:
            tools.feed.retry(candidate, request.ended + REFUSED_LINE_PAUSE_SECONDS)
        else:
            self._hold(candidate, outcome)
        self._rest_if_down(outcome)

    def _hold(self, candidate: Candidate, outcome: Outcome) -> None:
        tools, line, quarantine = self._tools, candidate.line.number, candidate.shard.quarantine
        failures = quarantine.suspicion_of(line).failures
        if outcome.verdict is Verdict.DENIED:
            quarantine.on_denied(line, self._ports.now())
        elif outcome.verdict is Verdict.FAILED:
            quarantine.on_failed(line)
        pause = pause_before_probe(failures, self._attempts_needed, outcome.retry_after)
        tools.feed.hold(candidate, self._ports.monotonic() + pause)

    def _evidence(self, candidate: Candidate, outcome: Outcome, before: int, *, alone: bool) -> Evidence:
        tools, now, line = self._tools, self._ports.now(), candidate.line.number
        quarantine = candidate.shard.quarantine
        if outcome.verdict is Verdict.REFUSED:
            quarantine.on_refused(
                line,
                now,
                alone=alone and outcome.kind not in NEVER_THE_LINES_FAULT,
                others_answered=before > 0 and tools.health.worked_since(before),
            )
        patience = self._ports.settings.refusal_patience_seconds
        return Evidence(
            served=tools.monitor.served,
            refused_alone=quarantine.is_refused_alone(line, now, patience),
            quota_used_up=tools.monitor.is_quota_used_up(outcome),
        )

    @property
    def _attempts_needed(self) -> int:
        return self._tools.health.attempts_needed(self._ports.settings.line_attempts)

    def _on_proof(self, held: Candidate, *, by_probe: bool) -> None:
        """The upstream works, so a held line is at fault if it has failed often enough."""
        tools, line, last, quarantine = self._tools, held.line.number, held.last, held.shard.quarantine
        now = self._ports.monotonic()
        if last is None:
            tools.feed.retry(held, now)
            return
        if last.verdict is not Verdict.REFUSED:
            quarantine.confirm_failure(line)
        failures = quarantine.suspicion_of(line).failures
        patience = self._ports.settings.refusal_patience_seconds
        denied_for_long = quarantine.is_denied_for_long(line, self._ports.now(), patience)
        match decide_with_proof(last, failures, self._attempts_needed, Proof(by_probe, denied_for_long)):
            case Step.GIVE_UP:
                self._end(held, given_up(held.line, last))
            case Step.WAIT:
                held.needs_rest = True
                tools.feed.hold(held, now + WAIT_PAUSE_SECONDS)
            case _:
                tools.feed.retry(held, now + pause_after_failure(failures - 1, last.retry_after))

    def _prove_held(self, end: Answer | NoAnswer) -> bool:
        """Count the probe as proof for every held line that is due.

        Returns False if lines are due but the probe proves nothing about any of them.
        """
        tools, now = self._tools, self._ports.monotonic()
        refused = is_refused(end)
        proven = tools.feed.release(lambda each: each.due <= now and not (refused and each.is_refused))
        if proven:
            tools.health.on_alive()
        for held in proven:
            self._on_proof(held, by_probe=True)
        left = tools.feed.pending
        if left and not self.in_flight and all(each.needs_rest for each in left):
            tools.supervisor.halt(Stop.REFUSED_ALONE)
        return bool(proven) or not any(each.due <= now for each in tools.feed.held)

    def _rest_if_down(self, outcome: Outcome) -> None:
        feed, idle = self._tools.feed, not self.in_flight
        left = [] if feed.has_new or not idle else feed.pending
        only_refused = bool(left) and all(
            each.shard.quarantine.suspicion_of(each.line.number).others_answered for each in left
        )
        self._tools.monitor.rest_if_down(outcome, idle=idle, only_refused_left=only_refused)
