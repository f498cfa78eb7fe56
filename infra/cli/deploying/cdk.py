"""Runs the CDK CLI, with its progress."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import CommandError
from .changes import Changes
from .checkout import Checkout

# Such as `Nightlane | 12/92 | 9:02:11 PM | CREATE_COMPLETE | AWS::SQS::Queue | Queues/Plan (QueuesPlan…)`
EVENT = re.compile(
    r"^\S+ \|\s*(?P<done>\d+)(?:/(?P<total>\d+))? \| [^|]+ \| (?P<status>\w+)\s*\| (?P<kind>\S+)"
)
LINES_SHOWN = 30
INTERRUPTED = "interrupted; CloudFormation continues what it has begun: `nightlane status` shows it"
OUTPUT, LOG = Path(".build/cdk.out"), Path(".build/cdk.log")


class Cdk:
    """The CDK CLI of a checkout. Each method raises CommandError if it fails."""

    def __init__(self, checkout: Checkout, context: Mapping[str, str], region: str, console: Console) -> None:
        self._checkout = checkout
        self._context = [part for name, value in context.items() for part in ("-c", f"{name}={value}")]
        # Also if boto3 found it in a variable or a file that the CDK does not read.
        self._region = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        self._console = console
        self._log = checkout.root / LOG
        self._log.unlink(missing_ok=True)

    def has_made(self, stack: str) -> bool:
        """Whether a template of the stack is there, of whatever settings."""
        return (self._checkout.root / OUTPUT / f"{stack}.template.json").exists()

    def synthesise(self) -> None:
        """Build the code, and make the template."""
        self._run(
            "building the code and the template", "synth", "--quiet", *self._context, "--output", str(OUTPUT)
        )

    def changes(self, stack: str) -> Changes:
        """Compare the template with the deployed one, without creating a change set."""
        return Changes.read(self._run("comparing", "diff", *self._made, "--method", "template", stack))

    def bootstrap(self, account: str, region: str) -> None:
        """Make the CDK's own stack."""
        self._run("bootstrapping", "bootstrap", f"aws://{account}/{region}", *self._made)

    def deploy(self, stack: str) -> dict[str, str]:
        """Deploy what was synthesised; returns the outputs of the stack. The caller has asked already."""
        file = self._checkout.root / ".build" / "outputs.json"
        file.unlink(missing_ok=True)
        approved = ("--require-approval", "never", "--progress", "events", "--outputs-file", str(file))
        self._run("deploying", "deploy", *self._made, *approved, stack)
        outputs: dict[str, dict[str, str]] = json.loads(file.read_text())
        return outputs[stack]

    def destroy(self, stack: str) -> None:
        """Delete the stack. The caller has asked already."""
        self._run("deleting", "destroy", *self._made, "--force", "--progress", "events", stack)

    @property
    def _made(self) -> tuple[str, str]:
        return "--app", str(OUTPUT)

    def _run(self, what: str, *arguments: str) -> str:
        """Run a command, and return its output, which is also in the log."""
        command, output = [str(self._checkout.cli), "--ci", "--no-color", *arguments], list[str]()
        self._log.parent.mkdir(exist_ok=True)
        try:
            with (
                self._log.open("a") as log,
                self._progress(what) as advance,
                subprocess.Popen(  # noqa: S603
                    command,
                    cwd=self._checkout.root,
                    env=self._checkout.environment | self._region,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                ) as process,
            ):
                assert process.stdout is not None
                for line in process.stdout:
                    log.write(line)
                    output.append(line)
                    advance(line)
        except KeyboardInterrupt as error:
            raise CommandError(INTERRUPTED) from error
        if process.returncode != 0:
            shown = "".join(output[-LINES_SHOWN:])
            raise CommandError(f"{what}: `cdk {arguments[0]}` failed; its output is in {self._log}\n{shown}")
        return "".join(output)

    @contextmanager
    def _progress(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done, and its progress. Yields a function that reads a line of output."""
        if not self._console.is_terminal:
            self._console.print(f"{what} …")
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        hidden = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=hidden) as progress:
            task = progress.add_task(what, total=None)

            def advance(line: str) -> None:
                if event := EVENT.match(line):
                    total = int(event["total"]) if event["total"] else None
                    progress.update(task, completed=int(event["done"]), total=total)

            yield advance
