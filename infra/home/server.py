"""The one-machine server: the API's handlers behind an HTTP front end, and a worker process."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from nightlane.domain.errors import StorageFull
from nightlane.domain.keys import ApiKey, Tenants
from nightlane.domain.sweeping import sweep
from nightlane.settings import Settings

from ..gateway import STAGE
from .direct_uploads import DirectUploads
from .front import Front, FunctionFailed
from .http_server import EnvelopeRunner
from .lock import exclusive
from .parts import Parts, open_data
from .queues import Queue
from .retention import purge_expired, remove_orphans
from .server_thread import ServerThread
from .worker_process import WorkerProcess

log = logging.getLogger("nightlane.server")
START_SECONDS = 30
THREADS = 32
# Senders notify receivers. Polling is only for messages that become visible again.
POLL_SECONDS = 0.5
# An attempt to reach a dead webhook endpoint takes seconds, which must not delay the other endpoints.
MORE_NOTIFIERS = 3
SWEEP_SECONDS = 5.0
PURGE_SECONDS = 3_600.0
PAUSE_AFTER_ERROR_SECONDS = 1.0
# What people type into the address bar.
REDIRECTS = {
    "/": f"/{STAGE}/console",
    "/console": f"/{STAGE}/console",
    "/console/": f"/{STAGE}/console",
    f"/{STAGE}/console/": f"/{STAGE}/console",
    "/docs": f"/{STAGE}/docs",
    "/openapi.json": f"/{STAGE}/openapi.json",
}


@dataclass(frozen=True, slots=True)
class Context:
    """The attributes of a Lambda context that Powertools reads."""

    function_name: str = "nightlane"
    memory_limit_in_mb: int = 0
    invoked_function_arn: str = "nightlane"
    aws_request_id: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys from the command line, and those in the database."""

    given: Mapping[str, str]
    stored: Tenants

    def find_key(self, secret: str) -> ApiKey | None:
        tenant = self.given.get(secret)
        return ApiKey.of(secret, tenant, created_at=0) if tenant else self.stored.find_key(secret)


class Handler:
    """Calls a Lambda handler on a thread of this process."""

    def __init__(self, handler: Callable[[dict[str, Any], Any], Any]) -> None:
        self._handler = handler

    async def call(self, event: dict[str, Any]) -> Any:
        try:
            return await asyncio.to_thread(self._handler, event, Context())
        except Exception as error:
            raise FunctionFailed(str(error)) from error


class HomeServer:
    """Serves Nightlane on a data folder while the context is open.

    Args:
        settings: must have upstreams.
        keys: API key → tenant, valid while the server runs, in addition to the stored ones.
        port: 0 chooses a free port.

    Raises:
        DataInUse, SchemaTooNew, StorageFull, OSError: from entering the context.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Mapping[str, str],
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.base_url = ""
        self._settings = settings
        self._keys = keys
        self._folder = folder
        self._host = host
        self._port = port
        self._thread = ServerThread(self._serve, START_SECONDS)
        self._ended = threading.Event()
        self._sent = {queue: threading.Event() for queue in (Queue.PLAN, Queue.ASSEMBLE, Queue.NOTIFY)}
        self._worker = WorkerProcess(folder, settings, self._wake)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    async def _serve(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        # asyncio's default on two cores is six threads, and the loops below take seven of them.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        async with AsyncExitStack() as stack:
            stack.enter_context(exclusive(self._folder))
            parts = await asyncio.to_thread(self._open)
            stack.callback(parts.database.close)
            await self._listen(parts, stack)
            loops = [
                asyncio.create_task(asyncio.to_thread(self._deliver, parts, queue))
                for queue in (*self._sent, *[Queue.NOTIFY] * MORE_NOTIFIERS)
            ]
            loops.append(asyncio.create_task(asyncio.to_thread(self._sweep, parts)))
            worker = asyncio.create_task(self._worker.keep())
            ready()
            await stopping.wait()
            self._ended.set()
            self._wake()
            worker.cancel()
            await asyncio.gather(worker, *loops, return_exceptions=True)

    def _open(self) -> Parts:
        parts = open_data(self._folder, self._settings)
        parts.blobs.remove_incomplete()
        remove_orphans(parts.database, parts.blobs, parts.ports.now())
        # If the disk is too full for that, messages are redelivered when their leases expire.
        with suppress(StorageFull):
            parts.queues.release(*self._sent)
        parts.queues.on_sent = self._notify
        return parts

    async def _listen(self, parts: Parts, stack: AsyncExitStack) -> None:
        # Imported here, so that other commands start faster.
        import functions.api.handler as api
        import functions.authorize.handler as authorize

        front = Front(
            Handler(api.make_handler(parts.ports, parts.models)),
            Handler(authorize.make_handler(Keys(self._keys, parts.keys))),
            self._settings.max_upload_bytes,
            parts.blobs.spool,
            # A database lookup is cheap, and a cached key would be accepted after it is revoked.
            cache_seconds=0,
            cors_origin=self._settings.cors_origin,
        )
        application = front.application(REDIRECTS)
        DirectUploads(parts.ports, parts.blobs).add_to(application)
        runner = EnvelopeRunner(application, shutdown_timeout=0.1)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port).start()
        self.base_url = f"http://{self._host}:{runner.addresses[0][1]}/v1"

    def _notify(self) -> None:
        """Wake all receivers after a message was sent. May be called on any thread."""
        self._wake()
        self._worker.notify()

    def _wake(self) -> None:
        for sent in self._sent.values():
            sent.set()

    def _deliver(self, parts: Parts, queue: Queue) -> None:
        while not self._ended.is_set():
            self._sent[queue].clear()
            try:
                if not parts.deliveries.deliver(queue):
                    self._sent[queue].wait(POLL_SECONDS)
            except Exception:
                # The message is redelivered when its lease expires.
                log.exception("failed to process a message of %s", queue)
                self._ended.wait(PAUSE_AFTER_ERROR_SECONDS)

    def _sweep(self, parts: Parts) -> None:
        ports, purge_at = parts.ports, 0.0
        while not self._ended.wait(SWEEP_SECONDS):
            try:
                sweep(ports)
                if ports.monotonic() >= purge_at:
                    purge_expired(parts.database, parts.blobs, ports.settings, ports.now())
                    purge_at = ports.monotonic() + PURGE_SECONDS
            except Exception:
                log.exception("the sweeper failed")
