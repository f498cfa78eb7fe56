"""Processes of `nightlane local` on a data folder, with the official client connected to them."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
from openai.types import Batch, BatchRequestCounts

from tests.e2e.conftest import ENDED, LOCAL

KEY = "sk-home"


class Server:
    """A running `nightlane local` on a data folder."""

    def __init__(self, data: Path, upstream: str | None, *options: str) -> None:
        self.data = data
        endpoint = [] if upstream is None else ["--upstream", upstream]
        command = [*LOCAL, "--data", str(data), *endpoint, "--api-key", KEY, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), self.process.communicate()
        self.client = openai.OpenAI(base_url=line.split()[1], api_key=KEY, max_retries=0)

    def kill(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def create(self, data: bytes) -> str:
        file = self.client.files.create(file=data, purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        ).id

    def wait(self, batch_id: str, seconds: float = 60) -> Batch:
        """Wait until the batch has ended or the time is up, and return it."""
        deadline = time.monotonic() + seconds
        while True:
            batch = self.client.batches.retrieve(batch_id)
            if batch.status in ENDED or time.monotonic() > deadline:
                return batch
            time.sleep(0.05)

    def wait_for(
        self, batch_id: str, condition: Callable[[BatchRequestCounts], bool], seconds: float = 60
    ) -> None:
        """Wait until the counts of a batch meet a condition."""
        deadline = time.monotonic() + seconds
        while True:
            batch = self.client.batches.retrieve(batch_id)
            if batch.request_counts is not None and condition(batch.request_counts):
                return
            assert time.monotonic() < deadline, batch
            time.sleep(0.05)

    def output_ids(self, batch: Batch) -> list[str]:
        lines = self.client.files.content(str(batch.output_file_id)).text.splitlines()
        return [line.split('"custom_id":"')[1].split('"')[0] for line in lines]


def run_to_exit(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to exit by itself."""
    command = [*LOCAL, "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def running(data: Path, upstream: str, *options: str) -> Iterator[Server]:
    server = Server(data, upstream, *options)
    try:
        yield server
    finally:
        server.kill()


def worker_of(server: Server) -> int:
    """The pid of its worker process, once it has started."""
    command = ["/bin/ps", "-A", "-o", "pid=,ppid=,args="]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            pid, parent, arguments = line.split(maxsplit=2)
            if int(parent) == server.process.pid and "infra.home.worker" in arguments:
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("the server has no worker")
