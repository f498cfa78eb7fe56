"""The rolling pool: as soon as one request ends the next one starts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


async def run_pool(
    items: Iterator[Item], size: int, work: Callable[[Item], Awaitable[None]], may_start: Callable[[], bool]
) -> None:
    """Work on all items, at most `size` at once, taking them in order.

    Stops taking items, and drains, once `may_start` says no. Cancelling it cancels the work.

    Raises:
        ExceptionGroup: an item's work raised; the other work was cancelled.
    """

    async def slot() -> None:
        while may_start() and (item := next(items, None)) is not None:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(size):
            group.create_task(slot())
