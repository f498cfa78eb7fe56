"""The command `nightlane mock-upstream`."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from .gate import Capacity
from .model import Behaviour, start


def mock_upstream(
    port: Annotated[int, typer.Option(help="0 picks a free port.")] = 8000,
    latency_mean: Annotated[float, typer.Option(min=0, help="Mean latency in seconds; log-normal.")] = 0.0,
    latency_sigma: Annotated[
        float, typer.Option(min=0, help="Sigma of the latency; 0 makes it constant.")
    ] = 0.0,
    error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that fail the first time they are sent.")
    ] = 0.0,
    rate_limit: Annotated[
        int | None, typer.Option(min=1, help="Return 429 above this many requests in flight.")
    ] = None,
    requests_per_second: Annotated[
        float | None, typer.Option(min=0.1, help="Return 429 above this rate, after one second's burst.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Serve this many requests at once, and queue the others.")
    ] = None,
    retry_after: Annotated[
        int, typer.Option(min=0, help="Seconds in the Retry-After of a 429; 0 leaves it out.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Changes which requests are slow or fail.")] = 0,
    api_key: Annotated[str | None, typer.Option(help="Require this bearer key.")] = None,
    until_input_ends: Annotated[
        bool, typer.Option("--until-input-ends", help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Serve a deterministic, OpenAI-shaped mock model."""
    capacity = Capacity(rate_limit, requests_per_second, slots, retry_after)
    behaviour = Behaviour(latency_mean, latency_sigma, error_rate, capacity, seed, api_key)
    asyncio.run(_serve(behaviour, port, until_input_ends=until_input_ends))


async def _serve(behaviour: Behaviour, port: int, *, until_input_ends: bool) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if until_input_ends:
        loop.add_reader(sys.stdin.fileno(), stopping.set)
    url, stop = await start(behaviour, port)
    typer.echo(f"ready {url}")
    await stopping.wait()
    await stop()
