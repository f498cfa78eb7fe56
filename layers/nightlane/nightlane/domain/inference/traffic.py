"""Measures the requests to the upstream. Plain numbers only, because this runs for every request."""

from collections import Counter
from collections.abc import Callable

from nightlane.domain.inference.outcomes import Outcome
from nightlane.domain.inference.ports import Kind
from nightlane.domain.inference.table import Verdict
from nightlane.domain.metrics import Meter, Metric
from nightlane.domain.tally import RunTally


class Traffic:
    """Counts and times the requests of a run. Not thread-safe."""

    def __init__(self, upstream: str, monotonic: Callable[[], float]) -> None:
        self._upstream = upstream
        self._monotonic = monotonic
        self._in_flight = 0
        self._since = monotonic()
        self.tally = RunTally(monotonic, self._since)
        self.requests = self.refusals = 0
        self.last_trouble: tuple[Outcome, float] | None = None
        """How the upstream last refused or failed, and when, on the monotonic clock."""
        self._clear()

    def _clear(self) -> None:
        self._latencies: list[float] = []
        self._kinds: Counter[tuple[Metric, Kind]] = Counter()
        # The time spent in flight is the sum of the end times minus the sum of the start times.
        self._spent = -self._in_flight * self._since

    def begin(self) -> float:
        """Count the start of a request and return the current time."""
        now = self._monotonic()
        self._spent -= now
        self._in_flight += 1
        return now

    def end(self) -> float:
        """Count the end of a request, answered or not, and return the current time."""
        now = self._monotonic()
        self._spent += now
        self._in_flight -= 1
        return now

    def note(self, outcome: Outcome, seconds: float) -> None:
        """Count the outcome of a request that took `seconds`."""
        if outcome.answer is not None:
            self._latencies.append(seconds)
        is_refused = outcome.verdict in (Verdict.REFUSED, Verdict.DENIED)
        is_answered = not is_refused and outcome.verdict is not Verdict.FAILED
        self.tally.add_request(seconds, is_refused=is_refused, is_answered=is_answered)
        self.requests += 1
        self.refusals += is_refused
        if is_refused or outcome.verdict is Verdict.FAILED:
            self.last_trouble = outcome, self._monotonic()
        if is_refused:
            self._kinds[Metric.UPSTREAM_REFUSALS, outcome.kind] += 1
        elif outcome.verdict is Verdict.FAILED:
            self._kinds[Metric.UPSTREAM_FAILURES, outcome.kind] += 1

    def report(self, meter: Meter) -> None:
        """Pass everything measured since the last report to the meter."""
        now = self._monotonic()
        if now > self._since:
            spent = self._spent + self._in_flight * now
            meter.add(Metric.IN_FLIGHT, round(spent / (now - self._since), 3))
        for latency in self._latencies:
            meter.add(Metric.UPSTREAM_LATENCY, round(latency * 1000, 1))
        for metric in (Metric.UPSTREAM_REFUSALS, Metric.UPSTREAM_FAILURES):
            meter.add(metric, sum(count for (name, _), count in self._kinds.items() if name is metric))
        for (metric, kind), count in self._kinds.items():
            meter.add(metric, count, upstream=self._upstream, kind=kind.value)
        self._since = now
        self._clear()
