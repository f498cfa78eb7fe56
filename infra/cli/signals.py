"""Waiting for the operator to end a command."""

import signal
import socket


def wait_for_end() -> None:
    """Return at SIGTERM or SIGINT."""
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        # Python runs handlers between two steps of the main thread: a signal just before it begins to wait,
        # or one that another thread gets, would go unheard. What C writes here is read in any case.
        # https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
        signal.set_wakeup_fd(sender.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        receiver.recv(1)
        signal.set_wakeup_fd(-1)
