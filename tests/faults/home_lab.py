"""One machine under faults: the API's handlers and the home's deliveries on a data folder."""

import dataclasses
import itertools
import json
import math
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import functions.api.handler
import infra.home.deliveries
import infra.home.folders
from infra.home.deliveries import Deliveries
from infra.home.lock import exclusive
from infra.home.parts import open_data
from infra.home.queues import Queue
from infra.home.retention import purge_expired, remove_orphans
from infra.home.server import PAUSE_AFTER_ERROR_SECONDS
from nightlane.api_settings import MIB
from nightlane.domain.batch import Batch
from nightlane.domain.errors import StorageFull
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.ports import Ports
from nightlane.domain.sweeping import sweep
from nightlane.settings import Settings
from tests.faults.clock import ClockedLease, VirtualClock
from tests.faults.disk import Disk
from tests.faults.faults import Crash
from tests.faults.home_client import Client
from tests.faults.home_faults import HomeFault, HomeFaults, do_nothing, faulty_connect
from tests.faults.hostile import HostileUpstream
from tests.faults.inbox import Inbox, create_missing_endpoints
from tests.faults.quotas import GENEROUS, check_counters
from tests.faults.stored import OnDisk
from tests.faults.wal import committed_end
from tests.faults.watch import Watch
from tests.store.machine import NoModels
from tests.upstream import only
from tests.world import TENANT

SETTINGS = Settings(
    upstreams=only("http://127.0.0.1:9/v1"),
    max_concurrent_requests_per_batch=2,
    requests_in_flight_per_worker=2,
    shard_max_lines=3,
    checkpoint_seconds=1,
    worker_lease_seconds=5,
    watch_seconds=1,
    redrive_seconds=10,
    stall_seconds=20,
    completion_window_seconds=3_600,
    max_inline_content_bytes=0,
    **GENEROUS,
)
# Longer than a disk stays full, but short: a waiting worker renews its lease every second, and each renewal
# is a crash point.
RUN_SECONDS = 250.0
# Commits take no virtual time, but a tick of the supervisor does.
COMMIT_SECONDS = 0.2


class HomeLab:
    """A data folder, the processes that use it, and a watch on their behavior."""

    def __init__(
        self, base: Path, faults: HomeFaults, patch: pytest.MonkeyPatch, seed: int = 0, **settings: Any
    ) -> None:
        self.faults = faults
        self.clock = VirtualClock()
        self.settings = SETTINGS.model_copy(update=settings)
        self.upstream = HostileUpstream(self.clock, self.settings.max_concurrent_requests_per_batch)
        self.upstream.shared_limit = self.settings.upstreams[0].max_concurrent_requests
        self.inbox = Inbox(lambda batch_id: self.stored.batch(batch_id), self.upstream.violations)
        self.disk = Disk(faults)
        self._base = base
        self._chance = random.Random(seed)
        self.next_id = ""
        self._workers = itertools.count(1)
        self._roots = (base / f"{number}" for number in itertools.count())
        self._root = next(self._roots)
        self._root.mkdir(exist_ok=True)
        self._stack = ExitStack()
        faults.now, faults.on_crash, faults.on_full = self.clock.now, self._copy_survivors, self._note_full
        self._patch_all(patch)
        self.disk.attach(self._root)
        self._seen: Watch | None = None
        self.client = Client(self)
        self._open()

    @property
    def folder(self) -> Path:
        return self._root / "data"

    def _patch_all(self, patch: pytest.MonkeyPatch) -> None:
        self.disk.patch(patch)
        connect = faulty_connect(self.faults, lambda: self.folder / "nightlane.db-wal")
        patch.setattr(sqlite3, "connect", connect)
        patch.setattr(infra.home.folders, "FULL_FLUSH", None)
        patch.setattr(infra.home.deliveries, "Lease", ClockedLease)

    def _open(self) -> None:
        """Start the processes on the folder, retrying while they crash or the disk is full."""
        self._is_open, self.faults.after_commit = False, do_nothing
        while not self._is_open:
            self._stack.close()
            self.attempt(self._start)
            self.clock.pass_time(0 if self._is_open else PAUSE_AFTER_ERROR_SECONDS)

    def _start(self) -> None:
        self._stack.enter_context(exclusive(self.folder))
        parts = open_data(self.folder, self.settings, self.clock.now)
        self._stack.callback(parts.database.close)
        self.blobs, self._database = parts.blobs, parts.database
        self.blobs.remove_incomplete()
        remove_orphans(parts.database, self.blobs, before=math.inf)
        # The server and the worker do the same.
        with suppress(StorageFull):
            parts.queues.release(*Queue)
        self.ports: Ports[Settings] = dataclasses.replace(
            parts.ports,
            monotonic=self.clock.monotonic,
            new_id=lambda: self.next_id,
            webhooks=replace(parts.ports.webhooks, send=self.inbox),
        )
        create_missing_endpoints(self.ports.webhooks.endpoints)
        self.deliveries = Deliveries(self.ports, parts.queues, NoModels())
        self.api = functions.api.handler.make_handler(self.ports, NoModels())
        self.stored = OnDisk(self.folder)
        self._stack.callback(self.stored.close)
        if self._seen is None:
            self._seen = Watch(self.ports, self.upstream, self.stored, COMMIT_SECONDS)
        self._seen.ports, self._seen.stored = self.ports, self.stored
        self.faults.after_commit = self._seen.look
        self._is_open = True

    def _copy_survivors(self) -> None:
        """Copy what survives the crash to a new folder."""
        self._note_end_of_worker()
        self._next = next(self._roots)
        if self.faults.fault is HomeFault.KILLED:
            shutil.copytree(self._root, self._next)
            return
        kept = 0.0 if self.faults.fault is HomeFault.POWER_LOST else self._chance.choice([0.5, 1.0])
        self.disk.survivors(self._next, self._chance, kept)
        database = self.folder / "nightlane.db"
        data = self._next / "data"
        if data.exists() and database.exists():
            shutil.copy(database, data)
            log = self.folder / "nightlane.db-wal"
            low, high = self.faults.torn or (committed_end(log), log.stat().st_size if log.exists() else 0)
            cut = self._chance.randint(low, max(low, high - 1))
            (data / log.name).write_bytes(log.read_bytes()[:cut] if log.exists() else b"")

    def restart(self) -> None:
        """Shut the processes down cleanly, and start them again."""
        self._stack.close()
        self._open()

    def close(self) -> None:
        self._stack.close()

    def _note_full(self) -> None:
        if self.faults.fault is HomeFault.FULL:
            # On a full disk the lease cannot be renewed, and results cannot be committed.
            self._note_end_of_worker()

    def _note_end_of_worker(self) -> None:
        if self._seen is not None:
            self._seen.died_at.setdefault(self.upstream.worker, self.clock.now())

    def attempt(self, call: Callable[[], Any]) -> Any:
        """The result of a call; None if the processes crashed or the disk was full."""
        try:
            return call()
        except (Crash, Exception, BaseExceptionGroup) as error:
            if not self.faults.crashed:
                _check_is_full_disk(error)
                self.clock.pass_time(PAUSE_AFTER_ERROR_SECONDS)
            return None
        finally:
            if self.faults.crashed:
                self._recover()
            self.clock.pass_time(0.01)

    def _recover(self) -> None:
        self._stack.close()
        self._root = self._next
        self.disk.attach(self._root)
        self.faults.crashed = False
        self._open()
        self.check_kept()

    def deliver(self, queue: Queue) -> bool:
        """Deliver one message; False if there is none. Interrupted messages are redelivered later."""
        before, self.upstream.worker = self.upstream.worker, next(self._workers)
        try:
            return self.attempt(lambda: self._deliver(queue)) is not False
        finally:
            self.upstream.worker = before

    def _deliver(self, queue: Queue) -> bool:
        if queue is not Queue.INFER:
            return self.deliveries.deliver(queue)
        running = self.deliveries.deliver_lane(
            lambda _: nullcontext(self.upstream), ByteBudget(64 * MIB), RUN_SECONDS
        )
        return bool(self.clock.run(running))

    def round(self) -> bool:
        """Deliver one message of each queue; False if all queues were empty."""
        return max([self.deliver(queue) for queue in Queue])

    def sweep(self) -> None:
        self.attempt(lambda: sweep(self.ports))

    def purge(self) -> None:
        self.attempt(lambda: purge_expired(self._database, self.blobs, self.settings, self.clock.now()))

    def settle(self, rounds: int = 150, step: float = 11) -> None:
        """Deliver, pass time and sweep until every batch has ended and the queues are empty."""
        for _ in range(rounds):
            if not self.round():
                ended = all(self.batch(each).status.is_terminal for each in self.watch.batches)
                if ended and self.stored.messages() == self.stored.events() == 0:
                    return
                self.clock.pass_time(step)
                self.sweep()
        raise AssertionError(f"not settled: {[self.batch(each) for each in self.watch.batches]}")

    def batch(self, batch_id: str) -> Batch:
        batch = self.stored.batch(batch_id)
        assert batch is not None, f"{batch_id} is gone"
        return batch

    @property
    def watch(self) -> Watch:
        assert self._seen is not None
        return self._seen

    def check_kept(self) -> None:
        """Check that nothing acknowledged is missing, and that every object with a record exists."""
        self.stored.check_integrity()
        for file_id, data in self.client.uploaded.items():
            assert self.client.read(file_id) == data
        for batch_id in self.watch.batches:
            batch = self.batch(batch_id)
            if batch.is_planned and not batch.status.is_terminal:
                self._check_committed(batch)

    def _check_committed(self, batch: Batch) -> None:
        mark = batch.request.input_file_id
        stored = {
            (mark, line)
            for shard in self.stored.shards(batch.id)
            for line in self.watch.finished_lines(batch, shard)
        }
        known = {each for each in self.upstream.committed if each[0] == batch.request.input_file_id}
        assert known <= stored, f"committed but lost: {known - stored}"

    def check_end(self) -> None:
        """Check that every line has one result, counts match the files, and nothing is left behind."""
        if self.faults.fault is None or not self.faults.fault.is_crash:
            assert self._incomplete() == [], "not cleaned up"
        self.restart()
        self.watch.look()
        self.check_kept()
        assert not self.upstream.violations, f"{self.upstream.violations}"
        for batch_id in self.watch.batches:
            batch = self.batch(batch_id)
            self.watch.check_batch(batch, 0)
            self.inbox.check_end(batch)
            for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                lines = self.client.read(file_id).splitlines()
                assert [json.loads(line) for line in lines] == self.watch.read(file_id)
        assert self.ports.batches.slots().running == {}
        assert list(self.ports.batches.waiting_batches()) == []
        assert self.stored.messages() == 0
        check_counters(self.ports, TENANT, [self.batch(batch_id) for batch_id in self.watch.batches])
        left = self.stored.objects() - {file.blob_key for file in self.stored.files()}
        assert not left, f"left behind: {left}"
        assert self._incomplete() == []

    def _incomplete(self) -> list[Path]:
        return list((self.folder / "incomplete").iterdir())


def _check_is_full_disk(error: BaseException) -> None:
    """Raises: AssertionError, for any other failure."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _check_is_full_disk(each)
    elif not isinstance(error, StorageFull):
        raise AssertionError(f"failed: {error!r}") from error
