"""The rolling pool: as soon as one request ends the next one starts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Item = TypeVar("Item")


async def run_pool(
    take: Callable[[], Awaitable[Item | None]],
    size: int,
    work: Callable[[Item], Awaitable[None]],
    may_start: Callable[[], bool],
) -> None:
    """Work on the items that `take` answers until it answers None, at most `size` at once.

    Stops taking items, and drains, once `may_start` says no. Cancelling it cancels the work.

    Raises:
        ExceptionGroup: an item's work raised; the other work was cancelled.
    """

    async def slot() -> None:
        # Taking may have taken long, so it is asked after that.
        while (item := await take()) is not None and may_start():
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(size):
            group.create_task(slot())
