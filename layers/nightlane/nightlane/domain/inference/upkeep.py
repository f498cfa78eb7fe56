"""The background loops of a run: checkpoints, and checks of the batch and of the upstream's shared state."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from nightlane.domain.batch import Batch
from nightlane.domain.inference.health import Health
from nightlane.domain.inference.journal import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS
from nightlane.domain.inference.open_shards import OpenShards
from nightlane.domain.inference.shared_limit import SharedLimit
from nightlane.domain.inference.supervisor import Stop, Supervisor
from nightlane.domain.inference.traffic import Traffic
from nightlane.domain.inference.use_report import UseReport
from nightlane.domain.ports import Ports
from nightlane.domain.stores import Fenced
from nightlane.domain.trouble import Rest, Trouble
from nightlane.settings import InferenceSettings


class Upkeep:
    """The loops of a run that wait for I/O, so that nothing else has to. `rest` preceded the run, if any."""

    def __init__(
        self,
        ports: Ports[InferenceSettings],
        batch: Batch,
        upstream: str,
        shards: OpenShards,
        health: Health,
        supervisor: Supervisor,
        traffic: Traffic,
        shared_limit: SharedLimit,
        rest: Rest | None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._ports = ports
        self._batch = batch
        self._upstream = upstream
        self._shards = shards
        self._health = health
        self._supervisor = supervisor
        self._traffic = traffic
        self._shared_limit = shared_limit
        self._rest = rest
        self._jitter = jitter
        self._stored_trouble: Trouble | None = None
        self.use_report = UseReport(ports, upstream, traffic)

    def loops(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the loops. Each runs until it is cancelled; an exception from one ends the run."""
        return self._commit(), self._check_batch()

    def report(self) -> None:
        """Publish the metrics so far. A run may last 15 minutes, and they should not wait for its end."""
        self._traffic.report(self._ports.metrics)
        self._ports.metrics.publish()

    async def _commit(self) -> None:
        """Commit a checkpoint every `checkpoint_seconds`, and whenever enough results have accumulated.

        The first interval is random, because lanes that start together would otherwise write to the batch's
        item at the same time, every time.
        """
        interval = self._ports.settings.checkpoint_seconds * (1 - self._jitter())
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(interval):
                    await self._shards.is_due.wait()
            except TimeoutError:
                pass
            try:
                await self._shards.flush()
                interval, pause = self._ports.settings.checkpoint_seconds, FIRST_PAUSE_SECONDS
            except Fenced:
                raise
            except Exception as error:
                # Nothing is lost: the results are still in the journals.
                self._ports.log("a checkpoint failed", error=repr(error))
                await asyncio.sleep(pause)
                interval, pause = 0.0, min(MAX_PAUSE_SECONDS, 2 * pause)
            self.report()

    async def _check_batch(self) -> None:
        """Check whether the batch was cancelled or closed, and whether the upstream is down for all lanes."""
        while True:
            await asyncio.sleep(self._ports.settings.watch_seconds)
            try:
                self._supervisor.on_batch(
                    await asyncio.to_thread(self._ports.batches.get_batch, self._batch.id)
                )
                await self._share_news()
            except Exception as error:
                self._ports.log("the batch could not be read", error=repr(error))

    async def _share_news(self) -> None:
        """Store what this run knows about the upstream, and read what other lanes have stored."""
        trouble = self._health.trouble
        await self.end_rest()
        await self._shared_limit.note_if_due()
        await self.use_report.store_if_due()
        if not self._health.is_doubtful or trouble is None:
            return
        stored = self._stored_trouble
        if stored is None or (stored.kind, stored.message) != (trouble.kind, trouble.message):
            await asyncio.to_thread(self._ports.batches.note_trouble, self._batch.id, trouble)
            self._stored_trouble = trouble
        rest = await asyncio.to_thread(self._ports.upstreams.get_rest, self._upstream)
        if rest is not None and rest.until > self._ports.now():
            self._supervisor.halt(Stop.UPSTREAM_DOWN)

    async def end_rest(self) -> None:
        """Delete the stored rest if the upstream answers again, so that lanes start at full speed."""
        if self._rest is not None and self._health.answered and self._health.trouble is None:
            self._rest = None
            await asyncio.to_thread(self._ports.upstreams.end_rest, self._upstream)
