"""What earlier workers of the lane still have in flight; it counts against this worker's limit."""

import asyncio
from collections.abc import Callable, Sequence

from nightlane.domain.handover import Drain
from nightlane.domain.inference.pool import Throttle
from nightlane.domain.ports import Ports

LOOK_SECONDS = 1.0


class Predecessors:
    """Watches the drains of the lane. A worker that crashed counts until its drain is over."""

    def __init__(self, ports: Ports, batch_id: str, lane: int) -> None:
        self.on_less: Callable[[], None] = lambda: None
        """Called when they may have fewer requests in flight than before."""
        self.on_end: Callable[[], None] = lambda: None
        """Called when all have ended: their shards may be begun."""
        self.are_draining = True
        self._ports = ports
        self._batch_id = batch_id
        self._lane = lane
        self._drains: Sequence[Drain] = ()

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self._live())

    async def look(self) -> None:
        """Read the drains. To be called after the lane's message was received, and before any request."""
        self._drains = await asyncio.to_thread(self._ports.batches.drains, self._batch_id, self._lane)
        self.are_draining = bool(self._live())

    async def watch(self) -> None:
        """Look again every second until none is draining."""
        while self.are_draining:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:
                self._ports.log("the drains of a lane could not be read", error=repr(error))
                self.are_draining = bool(self._live())
            self.on_less()
        self.on_end()

    def _live(self) -> list[Drain]:
        now = self._ports.now()
        return [each for each in self._drains if now < each.until]


class Remainder:
    """The throttle of a lane: what another throttle allows, without what the predecessors have in flight."""

    def __init__(self, throttle: Throttle, predecessors: Predecessors) -> None:
        self._throttle = throttle
        self._predecessors = predecessors

    @property
    def pause_until(self) -> float:
        return self._throttle.pause_until

    def limit(self) -> int:
        return max(0, self._throttle.limit() - self._predecessors.in_flight)
