"""Hands a lane over while its last requests are in flight, so that the next worker begins without a gap."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from nightlane.domain.handover import Drain
from nightlane.domain.inference.delivery import Delivery
from nightlane.domain.inference.lane_shards import SHARD_RETENTION_SECONDS
from nightlane.domain.inference.supervisor import Stop, Supervisor
from nightlane.domain.inference.work import Work
from nightlane.domain.ports import Ports

# How often it stores how many requests are still in flight.
NOTE_SECONDS = 1.0


class Handover:
    """Lets the lane's message go when a run is out of time and shards are left that no worker has begun.

    The order matters: what is in flight is stored before the message can be received by a successor. If
    anything before that fails, the message is handed back when the requests have ended.

    Args:
        prepare: called first; if it returns False, the message is kept.
        in_flight: returns how many requests are in flight.
    """

    def __init__(
        self,
        ports: Ports,
        work: Work,
        delivery: Delivery,
        supervisor: Supervisor,
        prepare: Callable[[], Awaitable[bool]],
        in_flight: Callable[[], int],
    ) -> None:
        self.halted = asyncio.Event()
        """Set it when no more requests are started."""
        self.has_begun = False
        """The message may belong to another worker: it must not be touched any more."""
        self._ports = ports
        self._work = work
        self._lease = delivery.lease
        self._deadline = delivery.deadline
        self._supervisor = supervisor
        self._prepare = prepare
        self._in_flight = in_flight
        self._holder = ports.new_id()
        self._has_ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._noted: int | None = None
        self._until = 0

    def start(self) -> None:
        """Begin to wait until the run is out of time."""
        self._task = asyncio.create_task(self._keep())

    async def settle(self) -> None:
        """All requests have ended: wait until nothing more is stored, so that `end` is the last word."""
        self._has_ended.set()
        self.halted.set()
        if self._task is not None:
            await self._task

    async def end(self) -> None:
        """Remove the drain, after the last commit. If that fails, it is over by itself."""
        if self._noted is None:
            return
        try:
            batch_id, lane = self._work.batch.id, self._work.lane_number
            await asyncio.to_thread(self._ports.batches.end_drain, batch_id, lane, self._holder)
        except Exception as error:
            self._ports.log("the drain of a lane could not be removed", error=repr(error))

    async def _keep(self) -> None:
        await self.halted.wait()
        try:
            await self._begin()
        except Exception as error:
            self._ports.log("a lane could not be handed over early", error=repr(error))
        while self.has_begun:
            try:
                async with asyncio.timeout(NOTE_SECONDS):
                    await self._has_ended.wait()
                return
            except TimeoutError:
                await self._count_down()

    async def _count_down(self) -> None:
        if self._noted is not None and self._in_flight() < self._noted:
            try:
                await self._note()
            except Exception as error:
                # The successor counts too many until the next note, or until the drain is over.
                self._ports.log("the drain of a lane could not be stored", error=repr(error))

    async def _begin(self) -> None:
        # A successor would only wait for a single request.
        if self._in_flight() < 2 or not self._may_begin():
            return
        if not await asyncio.to_thread(self._work.has_more):
            return
        if not await self._prepare():
            return
        self._until = math.ceil(self._ports.now() + self._deadline - self._ports.monotonic())
        await self._note()
        if self._may_begin() and self._lease.is_held:
            self.has_begun = True
            self._supervisor.step_aside(self._until)
            await asyncio.to_thread(self._lease.hand_back, 0)

    def _may_begin(self) -> bool:
        is_draining = not (self._has_ended.is_set() or self._supervisor.has_aborted)
        return is_draining and self._supervisor.stop is Stop.OUT_OF_TIME

    async def _note(self) -> None:
        batch, in_flight = self._work.batch, self._in_flight()
        # A write that fails may have taken effect.
        self._noted = self._noted or in_flight
        drain = Drain(self._holder, in_flight, self._until)
        forget_at = batch.expires_at + SHARD_RETENTION_SECONDS
        await asyncio.to_thread(
            self._ports.batches.put_drain, batch.id, self._work.lane_number, drain, forget_at
        )
        self._noted = in_flight
