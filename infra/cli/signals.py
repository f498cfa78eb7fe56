"""Waits for a signal that ends a command."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def end_signals() -> Iterator[Callable[[], None]]:
    """Catch SIGTERM and SIGINT while the context is open. Yields a function that waits for the first one.

    Python runs signal handlers between two instructions of the main thread: a signal that arrives just before
    the main thread blocks, or on another thread, would be missed. The byte that Python writes to the wakeup
    socket is not.
    https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno())
        before = [signal.signal(number, lambda *_: None) for number in numbers]
        try:
            yield lambda: _read(receiver)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _read(receiver: socket.socket) -> None:
    receiver.recv(1)
