"""The lease on a message that is being processed."""

import threading
from collections.abc import Callable

# A worker gives up before the lease ends, so that its last requests end before another worker can begin.
VALID_SHARE = 0.8


class Lease:
    """Hides a message while its worker is alive, and not much longer.

    It is renewed three times per lease, so a worker that crashed is replaced within one lease.

    Args:
        extend: hides the message for that many seconds from now; returns False on failure.
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
        """False once it could not be renewed in time, so that another worker may have the message."""
        return self._monotonic() < self._valid_until

    def hand_back(self, delay_seconds: int) -> None:
        """End the lease, and make the message visible again after the delay."""
        self._end()
        self._hide(delay_seconds)

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            self._hide(self._seconds)

    def _hide(self, seconds: int) -> None:
        sent_at = self._monotonic()
        if self._extend(seconds):
            self._valid_until = sent_at + seconds * VALID_SHARE
