"""Stores how much a run uses its upstream, for the list of upstreams."""

import asyncio

from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.ports import Ports
from nightlane.domain.trouble import Trouble
from nightlane.domain.upstream_use import UpstreamUse, hour_of
from nightlane.settings import InferenceSettings

# How often a long run stores it.
CHECKPOINTS_PER_REPORT = 10


class UseReport:
    """Stores what a run has counted. The counts are for people to see, so a failure only delays them."""

    def __init__(self, ports: Ports[InferenceSettings], upstream: str, traffic: Traffic) -> None:
        self._ports = ports
        self._upstream = upstream
        self._traffic = traffic
        self._requests = self._refusals = 0
        self._next = self._due_at()

    def _due_at(self) -> float:
        return self._ports.monotonic() + CHECKPOINTS_PER_REPORT * self._ports.settings.checkpoint_seconds

    async def store_if_due(self) -> None:
        """Store what was counted, at most every few minutes."""
        if self._ports.monotonic() >= self._next:
            await self.store()

    async def store(self) -> None:
        """Store what was counted since the last time, if there is anything."""
        self._next = self._due_at()
        requests, refusals = self._traffic.requests, self._traffic.refusals
        if requests == self._requests:
            return
        use = UpstreamUse(
            hour_of(self._ports.now()), requests - self._requests, refusals - self._refusals, self._trouble()
        )
        try:
            await asyncio.to_thread(self._ports.upstreams.note_use, self._upstream, use)
        except Exception as error:
            self._ports.log("the use of the upstream could not be stored", error=repr(error))
            return
        self._requests, self._refusals = requests, refusals

    def _trouble(self) -> Trouble | None:
        """How the upstream last refused or failed in this run."""
        found = self._traffic.last_trouble
        if found is None:
            return None
        outcome, at = found
        since = self._ports.now() - (self._ports.monotonic() - at)
        return Trouble(outcome.kind.value, outcome.answer.status if outcome.answer else None, "", int(since))
