"""A server in its own thread starts, stops and reports why it failed."""

import asyncio
from collections.abc import Callable

import pytest

from infra.home.server_thread import ServerThread


def test_start_returns_when_the_server_is_ready_and_stop_when_it_has_ended() -> None:
    events = []

    async def serve(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        events.append("listening")
        ready()
        await stopping.wait()
        events.append("ended")

    thread = ServerThread(serve, start_seconds=10)
    thread.start()
    assert events == ["listening"]
    thread.stop()
    assert events == ["listening", "ended"]


def test_start_raises_the_error_that_the_server_raised() -> None:
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
