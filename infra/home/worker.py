"""The worker process: runs all lanes of the admitted batches until its server ends."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from pathlib import Path

from nightlane.api_settings import MIB
from nightlane.domain.errors import StorageFull
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import Connect, Upstream
from nightlane.settings import Settings

from .lock import sole_worker
from .logs import log_to_stderr
from .parts import Parts, open_data
from .queues import Queue

log = logging.getLogger("nightlane.worker")
# Runs are not limited to a Lambda invocation here, but they still need a time limit.
RUN_SECONDS = 86_400.0
# A lane that is handed over has two workers for a moment.
MIN_LANES = 2
# The server notifies this process of messages. Polling is only for those that become visible again.
POLL_SECONDS = 0.5
PAUSE_AFTER_ERROR_SECONDS = 1.0
# As for a worker on AWS: an answer is held several times while it is read, kept and committed.
BUDGET_BYTES = 64 * MIB
THREADS = 32
PIPE_BYTES = 4_096


async def run(parts: Parts) -> None:
    """Run lanes until cancelled, or until the server ends."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    settings, budget = parts.ports.settings, ByteBudget(BUDGET_BYTES)
    sent = [asyncio.Event() for _ in range(max(MIN_LANES, settings.max_lanes))]
    threading.Thread(target=_listen_to_server, args=(loop, sent), daemon=True).start()
    parts.queues.on_sent = _notify_server
    async with AsyncExitStack() as stack:
        # One session per upstream for all runs, so that connections are kept from one to the next.
        upstreams = {
            each.name: await stack.enter_async_context(parts.connections.connect(each.name, budget))
            for each in settings.upstreams
        }

        def connect(name: str) -> AbstractAsyncContextManager[Upstream]:
            known = upstreams.get(name)
            return parts.connections.connect(name, budget) if known is None else nullcontext(known)

        group = await stack.enter_async_context(asyncio.TaskGroup())
        for each in sent:
            group.create_task(_run_lanes(parts, connect, budget, each))


async def _run_lanes(parts: Parts, connect: Connect, budget: ByteBudget, sent: asyncio.Event) -> None:
    while True:
        sent.clear()
        try:
            if not await parts.deliveries.deliver_lane(connect, budget, RUN_SECONDS):
                with suppress(TimeoutError):
                    await asyncio.wait_for(sent.wait(), POLL_SECONDS)
        except Exception:
            # The message is redelivered when its lease expires.
            log.exception("failed to run a lane")
            await asyncio.sleep(PAUSE_AFTER_ERROR_SECONDS)


def _listen_to_server(loop: asyncio.AbstractEventLoop, sent: Sequence[asyncio.Event]) -> None:
    """Wake the tasks for each byte on standard input; exit at end of file.

    Standard input ends when the server does, even if that was killed.
    """
    while os.read(sys.stdin.fileno(), PIPE_BYTES):
        for each in sent:
            loop.call_soon_threadsafe(each.set)
    os._exit(0)


def _notify_server() -> None:
    """Notify the server of a message that it delivers."""
    # The server may have just ended.
    with suppress(OSError):
        os.write(sys.stdout.fileno(), b"\n")


def main() -> None:
    folder, level = sys.argv[1:]
    log_to_stderr(level)
    settings = Settings.from_environment(os.environ)
    log.info("running up to %s lanes at once", max(MIN_LANES, settings.max_lanes))
    with sole_worker(Path(folder)):
        parts = open_data(Path(folder), settings, migrate=False)
        # Earlier workers have ended, so their leases need not expire first. On a full disk this fails.
        with suppress(StorageFull):
            parts.queues.release(Queue.INFER)
        asyncio.run(run(parts))


if __name__ == "__main__":
    main()
