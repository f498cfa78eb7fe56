"""Runs an asyncio server on its own thread, for use by synchronous code."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress

Serve = Callable[[Callable[[], None], asyncio.Event], Awaitable[None]]
"""Calls its first argument once it is ready, and returns soon after the event is set."""


class ServerThread:
    """Runs `serve` from `start` to `stop`."""

    def __init__(self, serve: Serve, start_seconds: float) -> None:
        self._serve = serve
        self._start_seconds = start_seconds
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Return once the server is ready. Raises: TimeoutError, or the error that stopped the server."""
        self._thread.start()
        try:
            self._ready.result(self._start_seconds)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Return once the server has ended."""
        if self._loop is not None:
            # If the server has failed, its loop is closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._serve(lambda: self._ready.set_result(None), self._stopping)
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
