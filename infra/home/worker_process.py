"""Keeps the worker process of a server running, and communicates with it through pipes."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nightlane.settings import Settings
from nightlane.settings_group import PREFIX

from ..resources import MALLOC_ENVIRONMENT

log = logging.getLogger("nightlane.server")
PAUSE_SECONDS = 1.0
PIPE_BYTES = 4_096
# `infra.home.worker` in a checkout, `nightlane.infra.home.worker` when installed.
WORKER = f"{__package__}.worker"


class WorkerProcess:
    """One worker at a time, for as long as `keep` runs.

    Args:
        on_sent: called when the worker has sent a message that the server delivers.
    """

    def __init__(self, folder: Path, settings: Settings, on_sent: Callable[[], None]) -> None:
        self._folder = folder
        self._settings = settings
        self._on_sent = on_sent
        self._process: asyncio.subprocess.Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def keep(self) -> None:
        """Start a worker, and restart it whenever it ends; kill it when this is cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            process = self._process = await self._start()
            try:
                assert process.stdout is not None
                while await process.stdout.read(PIPE_BYTES):
                    self._on_sent()
                await process.wait()
            finally:
                self._process = None
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            log.warning("the worker process ended with %s; starting another", process.returncode)
            await asyncio.sleep(PAUSE_SECONDS)

    def notify(self) -> None:
        """Notify the worker of a message that it delivers. May be called on any thread."""
        if self._loop is not None:
            # If the loop has just been closed, the worker has ended too.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._write)

    def _write(self) -> None:
        pipe = self._process.stdin if self._process else None
        # If the worker has not read the last byte yet, it will look for messages anyway.
        if pipe is not None and not pipe.transport.get_write_buffer_size():
            pipe.write(b"\n")

    async def _start(self) -> asyncio.subprocess.Process:
        own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", WORKER, str(self._folder), level),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=own | MALLOC_ENVIRONMENT | self._settings.to_environment(),
        )
