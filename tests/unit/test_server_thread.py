"""A server on a thread of its own: started, stopped, or failed."""

import asyncio
from collections.abc import Callable

import pytest

from infra.home.server_thread import ServerThread


def test_start_returns_when_the_server_is_ready_and_stop_when_it_has_ended() -> None:
    seen = []

    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        seen.append("listens")
        ready()
        await stopping.wait()
        seen.append("ended")

    thread = ServerThread(serve, start_seconds=10)
    thread.start()
    assert seen == ["listens"]
    thread.stop()
    assert seen == ["listens", "ended"]


def test_start_raises_what_kept_the_server_from_starting() -> None:
    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        raise OSError("the port is taken")

    with pytest.raises(OSError, match="the port is taken"):
        ServerThread(serve, start_seconds=10).start()


def test_a_server_that_is_not_ready_in_time_is_stopped() -> None:
    ended = []

    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        await stopping.wait()
        ended.append(True)

    with pytest.raises(TimeoutError):
        ServerThread(serve, start_seconds=0.05).start()
    assert ended
