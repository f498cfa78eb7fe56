"""Time controlled by a test: the clock of the ports, an event loop on it, and leases that end on demand."""

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from nightlane.lease import Lease

START = 1_800_000_000.0


class VirtualClock:
    """A clock whose seconds pass when something waits for them. A freeze stops every loop that is running."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self.depth = 0
        self._thawed = threading.Condition()

    def now(self) -> float:
        return START + self._elapsed

    def monotonic(self) -> float:
        return 1_000.0 + self._elapsed

    def pass_time(self, seconds: float) -> None:
        self._elapsed += seconds

    def pass_until(self, monotonic: float) -> None:
        self._elapsed = max(self._elapsed, monotonic - 1_000.0)

    def freeze(self) -> None:
        """Stop the loops that are running now until `thaw`."""
        self.depth += 1

    def thaw(self) -> None:
        with self._thawed:
            self.depth -= 1
            self._thawed.notify_all()

    def wait_while_frozen(self, depth: int) -> None:
        with self._thawed:
            self._thawed.wait_for(lambda: self.depth <= depth)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """`asyncio.run` on this clock."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self)) as runner:
            return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers take no time: when there is nothing else to do, the clock jumps ahead."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.depth = clock.depth
        self.in_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.clock.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        self.in_threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._end_of_thread())
        return future

    async def shutdown_default_executor(self, *_: Any) -> None:
        """Shut down without passing time: since Python 3.12 this has a timeout of five minutes."""
        self.in_threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.in_threads -= 1

    def _end_of_thread(self) -> None:
        self.in_threads -= 1


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self._loop
        if loop.in_threads:
            # Threads take no time, but one may freeze this loop too.
            ready = super().select(None if timeout is None or timeout > 0 else 0)
            loop.clock.wait_while_frozen(loop.depth)
            return ready
        if timeout is not None and timeout > 0 and not (ready := super().select(0)):
            loop.clock.pass_time(timeout)
            return ready
        return super().select(timeout)


class TestLease(Lease):
    """A lease that is held however much time passes, until the test takes it away."""

    __test__ = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lost = False
        self.delay_seconds = 0

    @property
    def is_held(self) -> bool:
        return not self.lost

    def hand_back(self, delay_seconds: int) -> None:
        self.delay_seconds = delay_seconds
        super().hand_back(delay_seconds)


class ClockedLease(Lease):
    """A lease that is renewed whenever it is looked at and a third of it has passed, without a thread."""

    _renewed_at = 0.0

    def __enter__(self) -> "ClockedLease":
        self._renew_now()
        return self

    def _end(self) -> None: ...

    @property
    def is_held(self) -> bool:
        if self._monotonic() >= self._renewed_at + self._seconds / 3:
            try:
                self._renew_now()
            except Exception:
                # It would have ended the thread.
                self._renewed_at = math.inf
        return super().is_held

    def _renew_now(self) -> None:
        self._renewed_at = self._monotonic()
        self._hide(self._seconds)
