"""Functions as pools of processes: warm ones are reused, dead ones are replaced."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec import json

from infra.home.front import FunctionFailed, FunctionTimedOut
from infra.resources import FunctionSpec
from tests.rig.ledger import FunctionUse, Report
from tests.rig.runtime import LENGTH_BYTES, Invocation, Outcome, frame

# For functions without reserved concurrency.
DEFAULT_CONCURRENCY = 3


class Process:
    """One execution environment: one invocation at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    @classmethod
    async def spawn(cls, spec: FunctionSpec, environment: Mapping[str, str]) -> "Process":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.rig.runtime", spec.module, str(spec.memory), spec.name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(environment),
        )
        return cls(process)

    async def wait_until_ready(self) -> None:
        """Wait until the handler is imported. Raises: FunctionFailed."""
        await self._read()

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Run the handler. Raises: FunctionFailed, if the process ends."""
        assert self._process.stdin is not None
        data = await asyncio.to_thread(json.encode, invocation)
        with suppress(ConnectionError):
            self._process.stdin.write(frame(data))
            del data
            await self._process.stdin.drain()
        return json.decode(await self._read(), type=Outcome)

    async def _read(self) -> bytes:
        assert self._process.stdout is not None
        try:
            length = int.from_bytes(await self._process.stdout.readexactly(LENGTH_BYTES), "big")
            return await self._process.stdout.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise FunctionFailed("the process ended") from error

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Function:
    """A function with its concurrency and its timeout; `use` is what it has used."""

    def __init__(self, spec: FunctionSpec, environment: Mapping[str, str], use: FunctionUse) -> None:
        self.spec = spec
        self.use = use
        self.slots = asyncio.Semaphore(spec.concurrency or DEFAULT_CONCURRENCY)
        self._environment = environment
        self._idle: list[Process] = []
        self._all: set[Process] = set()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._all if process.is_alive]

    async def warm_up(self) -> None:
        """Start one process, so that the first caller does not wait for it."""
        self._idle.append(await self._start())

    async def call(self, event: Any) -> Any:
        """Wait for a free slot, then invoke. Raises: FunctionFailed, FunctionTimedOut."""
        async with self.slots:
            return await self.invoke(event)

    async def invoke(self, event: Any) -> Any:
        """Invoke; the caller holds a slot. Raises: FunctionFailed, FunctionTimedOut."""
        self.use.invocations += 1
        process = self._warm() or await self._start()
        try:
            async with asyncio.timeout(self.spec.timeout):
                outcome = await process.invoke(Invocation(event, self.spec.timeout))
        except BaseException as error:
            self.use.errors += 1
            self._all.discard(process)
            await process.kill()
            if isinstance(error, TimeoutError):
                self.use.add(Report(self.spec.timeout * 1000.0, 0, {}, {}))
                raise FunctionTimedOut(self.spec.name) from error
            raise
        self._idle.append(process)
        self.use.add(outcome.report)
        if outcome.error is not None:
            self.use.errors += 1
            raise FunctionFailed(outcome.error)
        return outcome.result

    def _warm(self) -> Process | None:
        """An idle process that is still alive."""
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            self._all.discard(process)
        return None

    async def _start(self) -> Process:
        process = await Process.spawn(self.spec, self._environment)
        self._all.add(process)
        try:
            await process.wait_until_ready()
        except FunctionFailed:
            self._all.discard(process)
            await process.kill()
            raise
        return process

    async def stop(self) -> None:
        await asyncio.gather(*(process.kill() for process in self._all))
