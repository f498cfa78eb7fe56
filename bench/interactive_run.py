"""Three batches and interactive users on one endpoint that queues: one case, in real time that is scaled."""

import asyncio
import json
import random
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types import Batch

from bench.batches import KEY, batch_of
from bench.home import start_home
from bench.token_server import token_server
from bench.users import Answered, Users, body, output_tokens

# All times of the server, the users and the windows are divided by this. Seconds below are unscaled.
SCALE = 5.0
SLOTS = 16
MEAN_TOKENS = 200
# What a client asks for, and what the batch is held to: the API has no window below an hour. The most urgent
# batch is created last.
WINDOWS = {"24h": 24 * 3_600.0, "2h": 7_200.0, "1h": 1_800.0}
POLL_SECONDS = 5.0
# A batch that takes longer than this is an error of the benchmark.
MAX_SECONDS = 3_600.0


@dataclass
class Case:
    """One endpoint with its users; if there are lines, also with Nightlane and three batches."""

    name: str
    lines: int = 0
    """Of each batch."""
    options: Sequence[str] = ()
    seconds: float = 0.0
    """How long users are measured; with batches, until all of them have ended."""
    answered: list[Answered] = field(default_factory=list)
    completed: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """Window → how many lines were completed at a time."""

    async def run(self) -> None:
        with ExitStack() as stack:
            url = stack.enter_context(token_server(SLOTS, SCALE))
            if not self.lines:
                await self._beside(Users(url, SCALE), asyncio.sleep(self.seconds / SCALE))
                return
            home = start_home(url, *self.options, sample_seconds=None)
            base_url = (await asyncio.to_thread(stack.enter_context, home)).base_url
            async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY) as client:
                # Its worker starts with the first batch.
                await self._follow(client, Users(url, SCALE), "24h", await _create(client, "24h", 1))
                users = Users(url, SCALE)
                await self._beside(users, self._run_batches(client, users))

    async def _beside(self, users: Users, work: Awaitable[None]) -> None:
        asking = asyncio.create_task(users.run())
        await work
        self.seconds = users.now()
        users.stop()
        await asking
        self.answered = users.answered

    async def _run_batches(self, client: openai.AsyncOpenAI, users: Users) -> None:
        batches = {window: await _create(client, window, self.lines) for window in WINDOWS}
        async with asyncio.TaskGroup() as group:
            for window, batch in batches.items():
                group.create_task(self._follow(client, users, window, batch))

    async def _follow(self, client: openai.AsyncOpenAI, users: Users, window: str, batch: Batch) -> None:
        completed = self.completed[window] = []
        while batch.status != "completed":
            assert batch.status in ("validating", "in_progress", "finalizing"), batch
            assert users.now() < MAX_SECONDS, f"{self.name}, {window}: {batch}"
            await asyncio.sleep(POLL_SECONDS / SCALE)
            batch = await client.batches.retrieve(batch.id)
            assert batch.request_counts is not None
            completed.append((users.now(), batch.request_counts.completed))

    def share_within(self, window: str) -> float:
        """The share of a batch that was completed inside its window."""
        inside = [lines for at, lines in self.completed[window] if at <= WINDOWS[window]]
        return max(inside, default=0) / self.lines

    def minutes(self, window: str) -> float:
        """When a batch was completed."""
        return min(at for at, lines in self.completed[window] if lines == self.lines) / 60


async def _create(client: openai.AsyncOpenAI, window: str, lines: int) -> Batch:
    file = await client.files.create(file=_input_file(window, lines), purpose="batch")
    # The client's type has only OpenAI's own window.
    any_window: Any = window
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window=any_window
    )


def _input_file(window: str, lines: int) -> bytes:
    chance = random.Random(window)
    bodies = (body(output_tokens(chance, MEAN_TOKENS), f"{window}, line {line}") for line in range(lines))
    return batch_of("/v1/chat/completions", (json.dumps(each).encode() for each in bodies))
