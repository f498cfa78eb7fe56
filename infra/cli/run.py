"""nightlane run: runs an input file on any OpenAI-compatible Batch API."""

import signal
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import openai
import typer
from openai.types import Batch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .first_url import first_url
from .follow import Results
from .server_options import NO_API_KEY, ApiKey, BaseUrl, explain
from .uploading import upload_file
from .waiting import waiting_reason

MIN_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0
SECONDS_BETWEEN_LINES = 10.0
ENDED = ("completed", "failed", "expired", "cancelled")


class ExitCode(IntEnum):
    """How the batch ended."""

    COMPLETED = 0
    SOME_FAILED = 1
    USAGE = 2
    INVALID = 3
    EXPIRED = 4
    CANCELLED = 5
    UNFINISHED = 6


def run(
    input_path: Annotated[Path, typer.Argument(metavar="INPUT.jsonl", exists=True, dir_okay=False)],
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    endpoint: Annotated[str | None, typer.Option(help="Default: the url of the first line.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: INPUT.output.jsonl beside the input.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Also print each result as soon as the server has stored it.")
    ] = False,
) -> None:
    """Run a batch: upload, create, wait, download. Works with any OpenAI-compatible server.

    Exit code: 0 completed; 1 completed, some lines failed; 2 usage error; 3 the input is
    invalid; 4 expired; 5 cancelled; 6 a server error, or the batch was left running.
    """
    console = Console(stderr=True)
    ended = run_batch(input_path, base_url, api_key, endpoint, output, console, follow=follow)
    raise typer.Exit(int(ended))


def run_batch(
    input_path: Path,
    base_url: str | None,
    api_key: str | None,
    endpoint: str | None,
    output: Path | None,
    console: Console,
    *,
    follow: bool = False,
) -> ExitCode:
    """Run a batch. Error lines are written to a file beside the output; `follow` prints all lines."""
    endpoint = endpoint or first_url(input_path)
    if endpoint is None:
        console.print(f"[red]{input_path} has no request in its first line; pass --endpoint")
        return ExitCode.USAGE
    if not api_key:
        console.print(NO_API_KEY)
        return ExitCode.USAGE
    output = output or input_path.with_suffix(".output.jsonl")
    try:
        with openai.OpenAI(base_url=base_url, api_key=api_key) as client:
            batch = _start(client, input_path, endpoint, console)
            results = Results(client, batch.id, console) if follow else None
            batch = _follow(client, batch, console, results)
            return _fetch(client, batch, output, console)
    except (openai.APIStatusError, openai.APIConnectionError) as error:
        console.print(explain(error, base_url))
    return ExitCode.UNFINISHED


def _start(client: openai.OpenAI, path: Path, endpoint: str, console: Console) -> Batch:
    file = upload_file(client, path)
    console.print(f"uploaded {path} as {file.id} ({file.bytes:,} bytes)")
    # The server may support endpoints that this version of the client does not know.
    any_endpoint: Any = endpoint
    batch = client.batches.create(input_file_id=file.id, endpoint=any_endpoint, completion_window="24h")
    console.print(f"created {batch.id}")
    return batch


def _follow(client: openai.OpenAI, batch: Batch, console: Console, results: Results | None) -> Batch:
    """Wait until the batch has ended, printing results on the way. Ctrl-C asks whether to cancel it."""
    interrupted, waiting = _Interrupts(client, batch.id, console), _Waiting(client, batch.id)
    with _progress(console) as progress:
        task = progress.add_task(batch.status, total=None, rate="")
        pause, began, reported_at = MIN_PAUSE_SECONDS, time.monotonic(), -SECONDS_BETWEEN_LINES
        while batch.status not in ENDED:
            time.sleep(pause)
            pause = min(MAX_PAUSE_SECONDS, pause * 1.2)
            interrupted.ask(progress.stop, progress.start)
            batch = client.batches.retrieve(batch.id)
            if results:
                results.print_new()
            done, total = _counts(batch)
            rate = done / max(0.001, time.monotonic() - began)
            progress.update(
                task, description=batch.status, completed=done, total=total or None, rate=f"{rate:.1f}/s"
            )
            if time.monotonic() - reported_at >= SECONDS_BETWEEN_LINES:
                reported_at = time.monotonic()
                if not console.is_terminal:
                    console.print(f"{batch.status}: {done} of {total}")
                waiting.report(console)
    interrupted.end()
    if results:
        results.print_rest()
    return batch


class _Waiting:
    """Reports what a batch is waiting for."""

    def __init__(self, client: openai.OpenAI, batch_id: str) -> None:
        self._client, self._batch_id = client, batch_id
        self._reported: str | None = None

    def report(self, console: Console) -> None:
        """Print the reason if it has changed."""
        reason = waiting_reason(self._client, self._batch_id)
        if reason is not None and reason != self._reported:
            console.print(escape(reason))
        self._reported = reason


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _counts(batch: Batch) -> tuple[int, int]:
    counts = batch.request_counts
    return (counts.completed + counts.failed, counts.total) if counts else (0, 0)


class _Interrupts:
    """Handles Ctrl-C while a batch runs: cancel it, or leave it running."""

    def __init__(self, client: openai.OpenAI, batch_id: str, console: Console) -> None:
        self._client, self._batch_id, self._console = client, batch_id, console
        self._pending = False
        self._asked = False
        self._before = signal.signal(signal.SIGINT, self._note)

    def _note(self, *_: Any) -> None:
        if self._pending or (self._asked and not sys.stdin.isatty()):
            self._leave()
        self._pending = True

    def _leave(self) -> None:
        self.end()
        self._console.print(f"{self._batch_id} is still running; check it with client.batches.retrieve")
        raise SystemExit(int(ExitCode.UNFINISHED))

    def ask(self, hide: Callable[[], None], show: Callable[[], None]) -> None:
        if not self._pending:
            return
        self._pending, self._asked = False, True
        hide()
        if sys.stdin.isatty() and not typer.confirm(f"Cancel {self._batch_id}?", err=True):
            self._leave()
        self._client.batches.cancel(self._batch_id)
        self._console.print(f"cancelling {self._batch_id}; finished lines are kept")
        show()

    def end(self) -> None:
        signal.signal(signal.SIGINT, self._before)


def _fetch(client: openai.OpenAI, batch: Batch, output: Path, console: Console) -> ExitCode:
    errors = output.with_suffix(".errors.jsonl")
    for file_id, path in ((batch.output_file_id, output), (batch.error_file_id, errors)):
        if file_id:
            with client.files.with_streaming_response.content(file_id) as content:
                content.stream_to_file(path)
            console.print(f"wrote {path}")
    done, total = _counts(batch)
    failed = batch.request_counts.failed if batch.request_counts else 0
    console.print(f"{batch.status}: {done - failed} completed, {failed} failed, {total} in total")
    if batch.errors and batch.errors.data:
        table = Table("line", "code", "message")
        for error in batch.errors.data:
            table.add_row(str(error.line or ""), escape(error.code or ""), escape(error.message or ""))
        console.print(table)
    match batch.status:
        case "completed":
            return ExitCode.SOME_FAILED if failed else ExitCode.COMPLETED
        case "failed":
            return ExitCode.INVALID
        case "expired":
            return ExitCode.EXPIRED
    return ExitCode.CANCELLED
