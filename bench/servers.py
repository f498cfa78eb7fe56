"""Servers under measurement: their memory is sampled, and they can be killed with their children."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.batches import run_batch

KIB_PER_MIB = 1_024
# After that, a server that was asked to end is killed.
END_SECONDS = 30.0


@dataclass
class Server:
    """A running batch server, and the peak resident memory of its processes."""

    base_url: str
    start_seconds: float
    process: subprocess.Popen[str]
    peaks_kib: dict[str, int] = field(default_factory=lambda: {"server": 0, "worker": 0, "together": 0})
    """Of the process itself, the largest of its children, and all of them at one moment."""
    model_prefix: str = ""
    """What it expects before the name of the endpoint's model."""

    @property
    def memory(self) -> float:
        """Peak memory of all its processes together, in MiB. Pages that they share count for each of them."""
        return self.peaks_kib["together"] / KIB_PER_MIB

    def run(self, data: bytes, poll_seconds: float = 0.1) -> float:
        """Run a batch to its end; returns the seconds from its upload to its end."""
        began = time.monotonic()
        run_batch(self, self.named(data), poll_seconds=poll_seconds)
        return time.monotonic() - began

    def named(self, data: bytes) -> bytes:
        """This input file with the model's name as the server expects it."""
        return data.replace(b'"model": "', f'"model": "{self.model_prefix}'.encode())

    def kill(self) -> None:
        """End all its processes with SIGKILL."""
        children = [own for own, parent, _ in _processes() if parent == self.process.pid]
        self.process.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def watched(server: Server, sample_seconds: float | None) -> Iterator[Server]:
    """Sample the server's memory at this interval, None for never, while the context is open; then end it.

    A sample takes about 10 ms of processor time.
    """
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(sample_seconds):
            _sample(server)

    sampling = threading.Thread(target=sample)
    if sample_seconds:
        sampling.start()
    try:
        yield server
    finally:
        ended.set()
        if sample_seconds:
            sampling.join()
        server.process.terminate()
        try:
            server.process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.process.communicate()


def _sample(server: Server) -> None:
    found = {"server": 0, "worker": 0, "together": 0}
    for own, parent, kib in _processes():
        name = "server" if own == server.process.pid else "worker" if parent == server.process.pid else None
        if name is not None:
            found[name] = max(found[name], kib)
            found["together"] += kib
    for name, kib in found.items():
        server.peaks_kib[name] = max(server.peaks_kib[name], kib)


def _processes() -> list[tuple[int, int, int]]:
    """(pid, parent's pid, KiB of resident memory) of each process."""
    listed = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
    ).stdout
    rows = (map(int, line.split()) for line in listed.splitlines())
    return [(own, parent, kib) for own, parent, kib in rows]


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
