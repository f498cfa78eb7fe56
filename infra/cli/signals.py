"""Waiting for the operator to end a command."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def end_signals() -> Iterator[Callable[[], None]]:
    """Catches SIGTERM and SIGINT while the context is open; the function that it yields waits for the first.

    Python runs handlers between two steps of the main thread: a signal just before that begins to wait, or
    one that another thread gets, would go unheard. The byte that Python writes to a socket is always read.
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
