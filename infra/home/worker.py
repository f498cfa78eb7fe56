"""The worker process of the home: runs shards, as many at once as there may be, until its server ends."""

import asyncio
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.home.logs import log_to_stderr
from infra.home.parts import Parts, open_data
from nightlane.domain.inference.budget import ByteBudget
from nightlane.settings import MIB, Settings
from nightlane.upstream.http import HttpUpstream, http_upstream

log = logging.getLogger("nightlane.worker")
# Shards need not fit into a Lambda invocation here, but a run is still told how long it may take.
RUN_SECONDS = 86_400.0
POLL_SECONDS = 0.1
PAUSE_AFTER_TROUBLE_SECONDS = 1.0
BUDGET_BYTES = 128 * MIB
THREADS = 32


async def run(parts: Parts) -> None:
    """Run shards until cancelled."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    settings, budget = parts.ports.settings, ByteBudget(BUDGET_BYTES)
    async with (
        http_upstream(settings, parts.upstream_key, budget, parts.ports.now) as upstream,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(settings.worker_concurrency):
            group.create_task(_run_shards(parts, upstream, budget))


async def _run_shards(parts: Parts, upstream: HttpUpstream, budget: ByteBudget) -> None:
    while True:
        try:
            found = await parts.deliveries.deliver_shard(upstream, budget, RUN_SECONDS)
            pause = 0.0 if found else POLL_SECONDS
        except Exception:
            # Its message comes again when its lease has ended.
            log.exception("a shard's run failed")
            pause = PAUSE_AFTER_TROUBLE_SECONDS
        await asyncio.sleep(pause)


def _end_with_the_server() -> None:
    """The server holds the other end of standard input: when it ends, even by a signal, so does this."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    folder, level = sys.argv[1:]
    log_to_stderr(level)
    settings = Settings.from_environment(os.environ)
    log.info("up to %s shards at once", settings.worker_concurrency)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    asyncio.run(run(open_data(Path(folder), settings, migrate=False)))


if __name__ == "__main__":
    main()
