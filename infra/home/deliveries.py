"""Passes the messages of the queues to the domain, as the deployed Lambda functions do."""

import asyncio

from nightlane.aws.queues import read_batch_message, read_event_message, read_lane_message
from nightlane.domain.assembly import assemble_batch
from nightlane.domain.dead_letters import fail_assembly, fail_lane, fail_plan
from nightlane.domain.errors import StorageFull
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.delivery import DONE, Delivery, Verdict
from nightlane.domain.inference.ports import Connect
from nightlane.domain.inference.worker import run_lane
from nightlane.domain.metrics import Metric
from nightlane.domain.planning import plan_batch
from nightlane.domain.ports import Ports, UpstreamModels
from nightlane.domain.webhook_delivery import deliver_event
from nightlane.lease import Lease
from nightlane.settings import Settings

from ..resources import QUEUES
from .queues import Message, Queue, SqliteQueues

MAX_RECEIVES = {Queue(spec.name): spec.max_receive_count for spec in QUEUES}


class Deliveries:
    """Delivers one message at a time. After a failure or a crash it is redelivered when its lease expires."""

    def __init__(self, ports: Ports[Settings], queues: SqliteQueues, models: UpstreamModels) -> None:
        self._ports = ports
        self._queues = queues
        self._models = models

    def deliver(self, queue: Queue) -> bool:
        """Plan or assemble the next batch, or deliver the next event. Returns False if there is none."""
        message = self._receive(queue)
        if message is None:
            return False
        try:
            with self._lease(message):
                if message.receives > MAX_RECEIVES[queue]:
                    self._ports.metrics.add(Metric.DEAD_LETTERS)
                    self._give_up(queue, message.body)
                else:
                    self._run(queue, message.body)
        except StorageFull:
            # A full disk must never fail a batch, however long it lasts: reset the receive count.
            self._queues.start_over(message, self._ports.settings.worker_lease_seconds)
            raise
        self._queues.delete(message)
        return True

    def _run(self, queue: Queue, body: str) -> None:
        match queue:
            case Queue.PLAN:
                plan_batch(self._ports, self._models, read_batch_message(body))
            case Queue.ASSEMBLE:
                assemble_batch(self._ports, read_batch_message(body))
            case Queue.NOTIFY:
                deliver_event(self._ports, read_event_message(body))

    def _give_up(self, queue: Queue, body: str) -> None:
        # The sweeper sends an event again.
        if queue is not Queue.NOTIFY:
            (fail_plan if queue is Queue.PLAN else fail_assembly)(self._ports, read_batch_message(body))

    async def deliver_lane(self, connect: Connect, budget: ByteBudget, seconds: float) -> bool:
        """Run the next lane for at most `seconds`. Returns False if there is none."""
        message = await asyncio.to_thread(self._receive, Queue.INFER)
        if message is None:
            return False
        lane = read_lane_message(message.body)
        with self._lease(message) as lease:
            if message.receives > MAX_RECEIVES[Queue.INFER]:
                self._ports.metrics.add(Metric.DEAD_LETTERS)
                await asyncio.to_thread(fail_lane, self._ports, lane)
                ending = DONE
            else:
                deadline = self._ports.monotonic() + seconds
                delivery = Delivery(lane, lease, deadline, message.receives)
                ending = await run_lane(self._ports, connect, delivery, budget)
        match ending.verdict:
            case Verdict.DONE:
                await asyncio.to_thread(self._queues.delete, message)
            case Verdict.HAND_BACK:
                await asyncio.to_thread(self._queues.hide, message, ending.delay_seconds)
        return True

    def _receive(self, queue: Queue) -> Message | None:
        return self._queues.receive(queue, self._ports.settings.worker_lease_seconds)

    def _lease(self, message: Message) -> Lease:
        seconds = self._ports.settings.worker_lease_seconds
        return Lease(lambda held: self._extend(message, held), seconds, self._ports.monotonic)

    def _extend(self, message: Message, seconds: int) -> bool:
        try:
            return self._queues.hide(message, seconds)
        except Exception as error:
            # The lease retries until it expires.
            self._ports.log("failed to extend a lease", error=repr(error))
            return False
