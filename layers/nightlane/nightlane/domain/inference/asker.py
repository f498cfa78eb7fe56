"""Asks one line after another, and puts limiter, health and quarantine to work on what comes of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nightlane.domain.inference.attempt import (
    Evidence,
    Step,
    decide,
    decide_with_proof,
    pause_after_failure,
    pause_after_refusal,
    pause_before_probe,
)
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.feed import Candidate, Feed
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.limiter import Limiter
from nightlane.domain.inference.outcomes import Outcome, Verdict, is_alive, judge
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer, Upstream
from nightlane.domain.inference.quarantine import Quarantine
from nightlane.domain.inference.results import Result, answered, given_up
from nightlane.domain.inference.supervisor import Stop, Supervisor
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import Trouble
from nightlane.settings import MIB

LARGE_BYTES = MIB
# Nothing but a used-up quota for so long, and nothing ever answered: its user must hear of it now.
QUOTA_PATIENCE_SECONDS = 10.0
# A longer Retry-After, with nothing in flight, is spent at rest and not in a paid worker.
LONGEST_WAIT_SECONDS = 20.0
# These say nothing of a single line, however lonely it is.
NEVER_THE_LINES = frozenset({Kind.UNREACHABLE, Kind.MISCONFIGURED})


@dataclass(frozen=True, slots=True)
class Parts:
    """What an `Asker` puts to work."""

    feed: Feed
    limiter: Limiter
    health: Health
    quarantine: Quarantine
    supervisor: Supervisor
    traffic: Traffic
    budget: ByteBudget


class Asker:
    """Asks lines; `finish` takes a line's result.

    `served` says whether a line of the batch was answered before this run.
    """

    def __init__(
        self,
        ports: Ports,
        upstream: Upstream,
        path: str,
        parts: Parts,
        finish: Callable[[Result], None],
        *,
        served: bool,
    ) -> None:
        self.in_flight: dict[Candidate, float] = {}
        """What is being asked, and since when, on the monotonic clock."""
        self.retry_after: float | None = None
        """How long the upstream asked everybody to stay away, if it is longer than a worker should wait."""
        self._ports = ports
        self._upstream = upstream
        self._path = path
        self._parts = parts
        self._finish = finish
        self._served = served
        self._quota_since: float | None = None
        self._judging = asyncio.Lock()

    async def ask(self, candidate: Candidate) -> None:
        """One attempt on a line, and what follows from it."""
        before, candidate.serial = candidate.serial, self._parts.health.begin()
        outcome = await self._attempt(candidate)
        if outcome.verdict is Verdict.ANSWERED:
            self._on_alive(candidate)
            self._end(candidate, answered(candidate.line, outcome))
        elif outcome.verdict is Verdict.REJECTED:
            self._on_alive(candidate)
            self._end(candidate, given_up(candidate.line, outcome))
        else:
            self._on_trouble(candidate, outcome, before)

    async def _attempt(self, candidate: Candidate) -> Outcome:
        parts, body = self._parts, bytes(candidate.line.request.body)
        began = self.in_flight[candidate] = parts.traffic.begin()
        parts.budget.take(len(body))
        end: Answer | NoAnswer
        try:
            end = await self._upstream.post(self._path, body)
        except NoAnswer as silence:
            end = silence
        finally:
            seconds = parts.traffic.end() - began
            parts.budget.give_back(len(body))
        del self.in_flight[candidate]
        if isinstance(end, Answer):
            parts.supervisor.slowest = max(parts.supervisor.slowest, seconds)
        outcome = await self._judge(end)
        parts.traffic.note(outcome, seconds)
        return outcome

    async def _judge(self, end: Answer | NoAnswer) -> Outcome:
        """A large answer takes seconds to read at worst, and nothing else may wait for that."""
        if isinstance(end, NoAnswer) or len(end.body) < LARGE_BYTES:
            return judge(end)
        async with self._judging:
            return await asyncio.to_thread(judge, end)

    def _end(self, candidate: Candidate, result: Result) -> None:
        self._parts.quarantine.forget(candidate.line.number)
        self._finish(result)

    def _on_alive(self, candidate: Candidate) -> None:
        """The upstream dealt with a line: that speaks against the lines that failed before."""
        parts = self._parts
        self._served, self._quota_since = True, None
        if parts.health.is_doubtful:
            self._ports.log("the upstream answers again", upstream=self._ports.settings.upstream_url)
        parts.health.on_answered(candidate.serial, parts.quarantine.failures(candidate.line.number))
        parts.limiter.on_answered()
        for held in parts.feed.release(lambda each: parts.health.worked_since(each.serial)):
            self._on_proof(held)

    def _on_trouble(self, candidate: Candidate, outcome: Outcome, before: int) -> None:
        parts, failed = self._parts, outcome.verdict is Verdict.FAILED
        others = len(self.in_flight)
        self._note(outcome, alone=not others and (parts.feed.has_new or not failed))
        candidate.last = outcome
        step = decide(outcome, self._evidence(candidate, outcome, before, alone=not others))
        if step is Step.GIVE_UP:
            parts.health.on_alive()
            parts.limiter.on_answered()
            self._end(candidate, given_up(candidate.line, outcome))
            return
        if not failed or parts.health.is_doubtful:
            parts.limiter.on_refused(others)
            self._pause(outcome, alone=not others)
        if step is Step.ASK_AGAIN:
            parts.feed.ask_again(candidate, self._ports.monotonic())
        else:
            self._hold(candidate, outcome)
        self._rest_if_down(outcome)

    def _hold(self, candidate: Candidate, outcome: Outcome) -> None:
        parts, line = self._parts, candidate.line.number
        failures = parts.quarantine.of(line).failures
        if outcome.verdict is not Verdict.REFUSED:
            parts.quarantine.on_failed(line)
        pause = pause_before_probe(failures, self._attempts_needed, outcome.retry_after)
        parts.feed.hold(candidate, self._ports.monotonic() + pause)

    def _note(self, outcome: Outcome, *, alone: bool) -> None:
        health, status = self._parts.health, outcome.answer.status if outcome.answer else None
        # An upstream that never answered is told of at once, one that did once it is silent for a while.
        is_known = health.is_doubtful or (not health.answered and health.trouble is not None)
        trouble = Trouble(outcome.kind, status, outcome.message, int(self._ports.now()))
        health.on_unanswered(trouble, alone=alone, failed=outcome.verdict is Verdict.FAILED)
        if not is_known and (health.is_doubtful or not health.answered):
            self._ports.log(
                "the upstream does not answer",
                upstream=self._ports.settings.upstream_url,
                kind=outcome.kind.value,
                status=status,
                reason=outcome.message,
            )

    def _pause(self, outcome: Outcome, *, alone: bool) -> None:
        """What a refusal asks for holds for the whole upstream, not for one line."""
        if outcome.retry_after is None and not alone:
            return
        refusals = self._parts.health.alone
        self._parts.limiter.pause(
            self._ports.monotonic() + pause_after_refusal(refusals, outcome.retry_after)
        )

    def _evidence(self, candidate: Candidate, outcome: Outcome, before: int, *, alone: bool) -> Evidence:
        parts, now, line = self._parts, self._ports.now(), candidate.line.number
        if outcome.kind is not Kind.QUOTA:
            self._quota_since = None
        elif self._quota_since is None:
            self._quota_since = self._ports.monotonic()
        if outcome.verdict is Verdict.REFUSED:
            parts.quarantine.on_refused(
                line,
                now,
                alone=alone and outcome.kind not in NEVER_THE_LINES,
                others_answered=before > 0 and parts.health.worked_since(before),
            )
        patience = self._ports.settings.refusal_patience_seconds
        return Evidence(
            served=self._served,
            refused_alone=parts.quarantine.is_refused_alone(line, now, patience),
            quota_used_up=self._is_quota_used_up(),
        )

    def _is_quota_used_up(self) -> bool:
        since = self._quota_since
        if self._served or since is None:
            return False
        return self._ports.monotonic() - since >= QUOTA_PATIENCE_SECONDS

    @property
    def _attempts_needed(self) -> int:
        return self._parts.health.attempts_needed(self._ports.settings.line_attempts)

    def _on_proof(self, held: Candidate) -> None:
        """The upstream works, so what a held line got is the line's own doing, if it got it often enough."""
        parts, line, last = self._parts, held.line.number, held.last
        now = self._ports.monotonic()
        if last is None:
            parts.feed.ask_again(held, now)
            return
        if last.verdict is not Verdict.REFUSED:
            parts.quarantine.prove(line)
        failures = parts.quarantine.of(line).failures
        if decide_with_proof(last, failures, self._attempts_needed) is Step.GIVE_UP:
            self._end(held, given_up(held.line, last))
        else:
            parts.feed.ask_again(held, now + pause_after_failure(failures - 1, last.retry_after))

    async def probe(self) -> None:
        """Only suspects are left, or nothing but failures came: does the upstream work at all?"""
        parts = self._parts
        end: Answer | NoAnswer
        try:
            end = await self._upstream.probe()
        except NoAnswer as silence:
            end = silence
        parts.feed.end_probe()
        alive = is_alive(end)
        parts.health.on_probe(succeeded=alive)
        if alive and (parts.feed.has_new or self._prove_held(end)):
            return
        outcome = judge(end)
        self._note(outcome, alone=not self.in_flight)
        self._pause(outcome, alone=True)
        self._rest_if_down(outcome)

    def _prove_held(self, end: Answer | NoAnswer) -> bool:
        """Hold against each line that is due what it got; False if the probe speaks against none of them."""
        parts, now = self._parts, self._ports.monotonic()
        # One that is refused itself does not speak against a line that is.
        refused = isinstance(end, Answer) and end.status in (401, 403)
        proven = parts.feed.release(lambda each: each.due <= now and not (refused and each.is_refused))
        if proven:
            parts.health.on_alive()
        for held in proven:
            self._on_proof(held)
        return bool(proven)

    def _rest_if_down(self, outcome: Outcome) -> None:
        parts = self._parts
        far = outcome.retry_after is not None and outcome.retry_after > LONGEST_WAIT_SECONDS
        if outcome.kind is Kind.QUOTA and not self._served:
            return
        if far and outcome.verdict is Verdict.REFUSED and not self.in_flight:
            self.retry_after = outcome.retry_after
        elif parts.health.wants_probe:
            parts.feed.wants_probe = True
            return
        elif not parts.health.is_down:
            return
        parts.supervisor.halt(Stop.REFUSED_ALONE if self._only_lonely_lines_left() else Stop.UPSTREAM_DOWN)

    def _only_lonely_lines_left(self) -> bool:
        """Whether others were answered while each line that is left was refused."""
        feed, quarantine = self._parts.feed, self._parts.quarantine
        if feed.has_new or self.in_flight:
            return False
        left = feed.pending
        return bool(left) and all(quarantine.of(each.line.number).others_answered for each in left)
