"""The lease on a message that is being worked on."""

import threading
from collections.abc import Callable

# Ends before another worker can begin, so that the last request does, too.
SHARE_HELD = 0.8


class Lease:
    """Keeps a message hidden while its worker lives, and not much longer.

    It is renewed every third of its length, so a worker that crashed is replaced after one lease.

    Args:
        extend: hides the message from now on for so many seconds; False if that failed.
        seconds: the length of the lease.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(self, extend: Callable[[int], bool], seconds: int, monotonic: Callable[[], float]) -> None:
        self._extend = extend
        self._seconds = seconds
        self._monotonic = monotonic
        self._valid_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._hide(self._seconds)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def is_held(self) -> bool:
        """False once it could not be renewed in time: another worker may have the message."""
        return self._monotonic() < self._valid_until

    def hand_back(self, delay_seconds: int) -> None:
        """Make the message visible again after the delay, once the lease has ended."""
        self._end()
        self._hide(delay_seconds)

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            self._hide(self._seconds)

    def _hide(self, seconds: int) -> None:
        asked_at = self._monotonic()
        if self._extend(seconds):
            self._valid_until = asked_at + seconds * SHARE_HELD
