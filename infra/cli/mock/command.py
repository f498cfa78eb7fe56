"""nightlane mock-upstream"""

import asyncio
import signal
from typing import Annotated

import typer

from infra.cli.mock.model import Behaviour, start


def mock_upstream(
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    latency_mean: Annotated[float, typer.Option(min=0, help="Seconds, the mean of a log-normal.")] = 0.0,
    latency_sigma: Annotated[float, typer.Option(min=0, help="Its sigma; 0 for a constant.")] = 0.0,
    error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that fail at first sight.")
    ] = 0.0,
    rate_limit: Annotated[
        int | None, typer.Option(min=1, help="More requests in flight than this get 429.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other latencies and errors.")] = 0,
    api_key: Annotated[str | None, typer.Option(help="Ask for this bearer key.")] = None,
) -> None:
    """Serve a deterministic, OpenAI-shaped mock model."""
    behaviour = Behaviour(latency_mean, latency_sigma, error_rate, rate_limit, seed, api_key)
    asyncio.run(_serve(behaviour, port))


async def _serve(behaviour: Behaviour, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    url, stop = await start(behaviour, port)
    typer.echo(f"ready {url}")
    await ended.wait()
    await stop()
