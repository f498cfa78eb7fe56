"""A lane's share of an upstream whose `max_concurrent_requests` hold for all batches together."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from nightlane.domain.inference.pool import Throttle
from nightlane.domain.inference.supervisor import Stop, Supervisor
from nightlane.domain.inference.work import Work
from nightlane.domain.ports import Ports
from nightlane.domain.shares import Share, Shares, claim, release
from nightlane.settings import InferenceSettings

# Attempts to write if other lanes write at the same time.
MAX_ATTEMPTS = 8
MAX_PAUSE_SECONDS = 0.1
# A share is renewed when half of it is over, and given up at this part if it could not be renewed.
RENEW_AT = 0.5
GIVE_UP_AT = 0.8
# While a lane has more or less than is fair, it renegotiates more often by this factor.
UNSETTLED_FACTOR = 0.25
# A lane without a share hands its message back after this long, because a worker costs money.
PATIENCE_SECONDS = 10.0


class FairShare:
    """Negotiates with the lanes of all batches. It is the throttle of the run's pool.

    Args:
        throttle: what allows the lane's requests apart from its share.
        wanted: returns how many requests the lane could have in flight.
        in_flight: returns how many it has.
    """

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        work: Work,
        throttle: Throttle,
        supervisor: Supervisor,
        wanted: Callable[[], int],
        in_flight: Callable[[], int],
    ) -> None:
        self.on_more: Callable[[], None] = lambda: None
        """Called when more requests may be in flight than before."""
        self._ports = ports
        self._lane = work.lane
        self._name = self._lane_name = f"{work.batch.id}-{work.lane_number}"
        self._holder = ports.new_id()
        self._deadline = work.batch.expires_at
        self._limit = work.upstream_limit or 0
        self._throttle = throttle
        self._supervisor = supervisor
        self._wanted = wanted
        self._in_flight = in_flight
        self._is_aside = False
        self._cap = 0
        self._is_settled = False
        self._usable_until = 0.0
        self._without_since = ports.monotonic()

    @property
    def pause_until(self) -> float:
        return self._throttle.pause_until

    def limit(self) -> int:
        """Return how many requests may be in flight."""
        # Checked here too: a process that was frozen may have lost its share.
        return min(self._cap, self._throttle.limit()) if self._ports.now() < self._usable_until else 0

    async def keep(self) -> None:
        """Negotiate now and at intervals, until cancelled."""
        seconds = self._ports.settings.worker_lease_seconds
        interval = min(self._ports.settings.watch_seconds, seconds * (1 - GIVE_UP_AT))
        while True:
            await self.negotiate()
            if self._cap or self._in_flight():
                self._without_since = self._ports.monotonic()
            elif self._ports.monotonic() - self._without_since >= PATIENCE_SECONDS:
                self._supervisor.halt(Stop.NO_SHARE)
            await asyncio.sleep(interval if self._is_settled else interval * UNSETTLED_FACTOR)

    async def negotiate(self) -> None:
        """Take as much as is fair and free, and give up what is not."""
        try:
            async with asyncio.timeout(
                self._usable_until - self._ports.now() if self._usable_until else None
            ):
                await self._retry(self._claim)
        except Exception as error:
            self._ports.log("the share of an upstream could not be renewed", error=repr(error))
        if self._has_lapsed(self._ports.now()):
            # Other lanes may soon take what it has.
            self._supervisor.abort(Stop.NO_SHARE)

    async def release(self) -> None:
        """Give up the whole share. If that fails, it expires.

        A lane that got nothing keeps its place instead, so that the others use less until it tries again.
        """
        if self._supervisor.stop is Stop.NO_SHARE:
            return
        try:
            await self._retry(self._release)
        except Exception as error:
            self._ports.log("the share of an upstream could not be released", error=repr(error))

    async def step_aside(self) -> bool:
        """Leave the lane's place to its next worker, and keep what is in flight under a name of its own."""
        self._name, self._is_aside = f"{self._lane_name}~{self._holder}", False
        await self.negotiate()
        return self._is_aside

    async def _retry(self, attempt: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        for _ in range(MAX_ATTEMPTS):
            if await attempt():
                return
            await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS))

    async def _claim(self) -> bool:
        """Returns False if another lane has written at the same time."""
        stored = await asyncio.to_thread(self._ports.upstreams.get_shares, self._lane.upstream)
        now, lease = self._ports.now(), self._ports.settings.worker_lease_seconds
        if self._has_lapsed(now) or not self._supervisor.may_commit:
            # Others may have what this lane had, or its next worker has it.
            return True
        if self._name != self._lane_name:
            stored = replace(stored, lanes=self._without_own_place(stored))
        wanted = min(self._lane.capacity, self._wanted())
        share = Share(0, wanted, int(now + lease), self._deadline, self._holder)
        in_use = self._in_flight()
        claimed, fair = claim(stored, self._name, share, in_use=in_use, limit=self._limit, now=now)
        # From here until the write the lane may use no more than it is about to claim.
        self._cap = min(self._cap, fair)
        mine, known = claimed.lanes[self._name], stored.lanes.get(self._name)
        renew_at = 0 if known is None else known.until - lease * (1 - RENEW_AT)
        if known is None or now >= renew_at or known != replace(mine, until=known.until):
            if not await asyncio.to_thread(self._ports.upstreams.put_shares, self._lane.upstream, claimed):
                return False
            self._is_aside = self._name != self._lane_name
            self._usable_until = mine.until - lease * (1 - GIVE_UP_AT)
        self._is_settled = mine.granted == fair
        if (cap := min(mine.granted, fair)) > self._cap:
            self._cap = cap
            self.on_more()
        return True

    async def _release(self) -> bool:
        stored = await asyncio.to_thread(self._ports.upstreams.get_shares, self._lane.upstream)
        known = stored.lanes.get(self._name)
        if known is None or known.holder != self._holder:
            return True
        left = release(stored, self._name, self._ports.now())
        return await asyncio.to_thread(self._ports.upstreams.put_shares, self._lane.upstream, left)

    def _without_own_place(self, stored: Shares) -> dict[str, Share]:
        return {
            name: share
            for name, share in stored.lanes.items()
            if name != self._lane_name or share.holder != self._holder
        }

    def _has_lapsed(self, now: float) -> bool:
        return 0 < self._usable_until <= now
