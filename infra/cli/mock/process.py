"""The mock inference endpoint as a child process, for as long as the context is open."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from .gate import Capacity

# `infra.cli.app` in a checkout, `nightlane.infra.cli.app` when installed.
APP = f"{__name__.removesuffix('.mock.process')}.app"


class MockUpstream:
    """`nightlane mock-upstream` with these options, such as `latency_mean=0.2`."""

    def __init__(self, **options: float | str) -> None:
        self.url = ""
        self._arguments = [
            text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))
        ]

    def __enter__(self) -> Self:
        command = [
            sys.executable,
            "-m",
            APP,
            "mock-upstream",
            "--port",
            "0",
            "--until-input-ends",
        ]
        # Its input ends with this process, however that ends.
        self._process = subprocess.Popen(  # noqa: S603
            [*command, *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().removeprefix("ready ").strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def statistics(self) -> dict[str, Any]:
        """How busy it has been since the last reset."""
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/_mock/stats") as answer:  # noqa: S310
            statistics: dict[str, Any] = json.load(answer)
        return statistics

    def reset(self) -> None:
        """Reset the statistics."""
        self._post("reset", b"")

    def set_capacity(self, capacity: Capacity) -> None:
        """Change how much it takes at once, while it runs."""
        self._post("capacity", json.dumps(asdict(capacity)).encode())

    def ask(self, body: bytes) -> dict[str, Any]:
        """Send a chat request."""
        return self._send(f"{self.url}/chat/completions", body)

    def _post(self, name: str, body: bytes) -> None:
        self._send(f"{self.url.removesuffix('/v1')}/_mock/{name}", body)

    def _send(self, url: str, body: bytes) -> dict[str, Any]:
        request = urllib.request.Request(url, body, method="POST")  # noqa: S310
        with urllib.request.urlopen(request) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer
