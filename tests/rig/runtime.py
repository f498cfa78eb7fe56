"""The process of one function: `python -m tests.rig.runtime MODULE MEMORY NAME`.

Like Lambda's runtime, it imports the handler once and runs one invocation at a time. Events arrive on
standard input and outcomes go to standard output, each preceded by its length. What the handler prints goes
to standard error, except for metrics, which are part of the outcome.
"""

import ctypes
import importlib
import io
import os
import signal
import sys
import time
import traceback
import uuid
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct, json

from infra.home.events import ACCOUNT, REGION
from nightlane.aws.clients import default_session
from tests.rig.accesses import recorder_from_environment
from tests.rig.ledger import Point, Report, items_of, points_of

LENGTH_BYTES = 8
PR_SET_PDEATHSIG = 1


class Invocation(Struct, frozen=True):
    """An event, and the seconds that the handler has for it."""

    event: Any
    seconds: float


class Outcome(Struct, frozen=True):
    """What the handler returned or raised, and what it used."""

    report: Report
    result: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    function_name: str
    memory_limit_in_mb: int
    aws_request_id: str
    ends_at: float
    function_version: str = "$LATEST"

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.ends_at - time.monotonic()) * 1000))


class CallCounter:
    """Counts this process's AWS calls with a hook in botocore."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        count: Any = self._count
        default_session().register("before-parameter-build.*.*", count)

    def _count(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        name = f"{model.service_model.service_name}:{model.name}"
        self.calls[name] += 1
        self.units[name] += items_of(model.name, params)

    def report(self, seconds: float, points: list[Point]) -> Report:
        """What has been counted since the last report."""
        report = Report(seconds * 1000, peak_rss_kib(), dict(self.calls), dict(self.units), points)
        self.calls.clear()
        self.units.clear()
        return report


class HandlerOutput(io.TextIOBase):
    """A handler's standard output: like CloudWatch, it extracts the metrics."""

    def __init__(self) -> None:
        self._line = ""
        self._points: list[Point] = []

    def write(self, text: str, /) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if points := points_of(line):
                self._points += points
            else:
                sys.stderr.write(line + "\n")
        return len(text)

    def take_points(self) -> list[Point]:
        """The points since the last call."""
        points, self._points = self._points, []
        return points


def peak_rss_kib() -> int:
    """Peak resident memory of this process; getrusage would include the parent's, from before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def read_frame(source: BinaryIO) -> bytes | None:
    """The next frame, or None at the end."""
    if len(head := source.read(LENGTH_BYTES)) < LENGTH_BYTES:
        return None
    return source.read(int.from_bytes(head, "big"))


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def serve(module: str, memory_mb: int, name: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Handle invocations until the source ends."""
    counter, output = CallCounter(), HandlerOutput()
    if (accesses := recorder_from_environment()) is not None:
        accesses.watch(default_session().register, lambda: name)
    with redirect_stdout(output):
        handler = importlib.import_module(module).handler
        sink.write(frame(b"ready"))
        while (data := read_frame(source)) is not None:
            invocation = json.decode(data, type=Invocation)
            del data
            began = time.monotonic()
            ends_at = began + invocation.seconds
            context = Context(f"nightlane-{name}", memory_mb, str(uuid.uuid4()), ends_at)
            result, error = _call(handler, invocation.event, context)
            report = counter.report(time.monotonic() - began, output.take_points())
            sink.write(frame(json.encode(Outcome(report, result, error))))


def _call(handler: Any, event: Any, context: Context) -> tuple[Any, str | None]:
    """The handler's result, and the error it raised."""
    try:
        return handler(event, context), None
    except Exception as raised:
        traceback.print_exc()
        return None, str(raised) or type(raised).__name__


def main() -> None:
    # The kernel ends this process when its parent ends, even if the parent is killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sink = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    module, memory_mb, name = sys.argv[1:]
    serve(module, int(memory_mb), name, sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
