"""The limit that the lanes of an upstream share: a run starts with it, and stores what it has learned."""

import asyncio

from nightlane.domain.inference.latency_limit import FIRST_LEVEL
from nightlane.domain.inference.limiter import Limiter
from nightlane.domain.learned import LearnedLimit, is_notable
from nightlane.domain.ports import Ports
from nightlane.domain.shard import Lane
from nightlane.settings import InferenceSettings

# How often a long run stores what it has learned, if that has changed.
NOTE_SECONDS = 300


class SharedLimit:
    """Makes the limiter of a run; `probing` if the upstream was down."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        lane: Lane,
        known: LearnedLimit | None,
        *,
        probing: bool,
    ) -> None:
        self._ports = ports
        self._lane, slots = lane, lane.capacity
        self._known = known
        self._next_note = ports.now() + NOTE_SECONDS
        target = ports.settings.target_seconds_per_output_token
        fallback = slots if target is None else min(slots, FIRST_LEVEL)
        start = None if known is None else known.start(fallback, ports.now())
        self.limiter = Limiter(slots, start=start, target=target, probing=probing)

    async def note_if_due(self) -> None:
        """Store what was learned, at most every few minutes."""
        if self._ports.now() >= self._next_note:
            await self.note()

    async def note(self) -> None:
        """Store what was learned, if it is worth a write."""
        now, requests = self._ports.now(), self.limiter.good
        self._next_note = now + NOTE_SECONDS
        if is_notable(self._known, requests, self._lane.capacity, now):
            self._known = LearnedLimit(requests, int(now))
            upstream = self._lane.upstream
            try:
                await asyncio.to_thread(self._ports.upstreams.note_limit, upstream, self._known)
            except Exception as error:
                # The next run only starts with an older limit.
                self._ports.log("the limit could not be stored", error=repr(error))
