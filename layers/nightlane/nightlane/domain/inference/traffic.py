"""What the requests to the upstream were like: plain numbers, for this is in the way of each of them."""

import time

from nightlane.domain.inference.ports import Answer, Unreachable, Upstream
from nightlane.domain.metrics import Meter, Metric

THROTTLED = 429


class MeteredUpstream:
    """An `Upstream` that measures another. Used and reported on one thread only."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._in_flight = 0
        self._since = time.monotonic()
        self._clear()

    def _clear(self) -> None:
        self._latencies: list[float] = []
        self._throttled = self._errors = self._unreachable = 0
        # Time spent in flight is the sum of the ends less the sum of the starts.
        self._spent = -self._in_flight * self._since

    async def post(self, path: str, body: bytes) -> Answer:
        began = time.monotonic()
        self._spent -= began
        self._in_flight += 1
        try:
            answer = await self._upstream.post(path, body)
        except Unreachable:
            self._unreachable += 1
            raise
        finally:
            ended = time.monotonic()
            self._spent += ended
            self._in_flight -= 1
        self._latencies.append(ended - began)
        self._throttled += answer.status == THROTTLED
        self._errors += answer.status >= 500
        return answer

    def report(self, meter: Meter) -> None:
        """Hand over what was measured since the last report."""
        now = time.monotonic()
        if now > self._since:
            spent = self._spent + self._in_flight * now
            meter.add(Metric.IN_FLIGHT, round(spent / (now - self._since), 3))
        for latency in self._latencies:
            meter.add(Metric.UPSTREAM_LATENCY, round(latency * 1000, 1))
        meter.add(Metric.UPSTREAM_THROTTLED, self._throttled)
        meter.add(Metric.UPSTREAM_ERRORS, self._errors)
        meter.add(Metric.UPSTREAM_UNREACHABLE, self._unreachable)
        self._since = now
        self._clear()
