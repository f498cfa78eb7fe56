"""nightlane demo: the command behind `make demo`."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nightlane.aws.bill import Run, bill
from nightlane.aws.runs import observed_run
from nightlane.settings import Settings
from nightlane.upstream_settings import UpstreamSettings

from ..home.defaults import HOME_DEFAULTS
from ..home.server import HomeServer
from ..resources import functions
from .mock.process import MockUpstream
from .questions import write_questions
from .run import ExitCode, run_batch

FOLDER = Path("nightlane-demo")
KEY = "demo-key"


def demo(
    lines: Annotated[int, typer.Option(min=1, max=50_000, help="Number of questions.")] = 300,
    latency: Annotated[
        float, typer.Option(min=0.001, help="Mean latency of the mock model in seconds.")
    ] = 0.2,
) -> None:
    """Run a batch of generated questions on this machine, and show what AWS would have billed."""
    console = Console()
    FOLDER.mkdir(exist_ok=True)
    source, output = FOLDER / "questions.jsonl", FOLDER / "answers.jsonl"
    write_questions(source, lines)
    console.print(f"[bold]Nightlane on this machine[/bold]: {lines} questions to a mock model")
    with MockUpstream(latency_mean=latency, latency_sigma=0.5) as upstream:
        settings = Settings(**HOME_DEFAULTS, upstreams=(UpstreamSettings(url=upstream.url),))
        with (
            TemporaryDirectory(prefix="nightlane-demo-") as data,
            HomeServer(settings, {KEY: "demo"}, Path(data)) as home,
        ):
            console.print(f"serving {home.base_url}, in front of {upstream.url}")
            code = run_batch(source, home.base_url, KEY, None, output, console)
        seconds = upstream.statistics()["elapsed"]
    if code is ExitCode.COMPLETED:
        input_bytes, output_bytes = (path.stat().st_size // lines for path in (source, output))
        _show(console, source, output, observed_run(lines, input_bytes, output_bytes, Settings(), seconds))
    raise typer.Exit(int(code))


def _show(console: Console, source: Path, output: Path, run: Run) -> None:
    question = json.loads(source.read_text().splitlines()[0])
    answer = json.loads(output.read_text().splitlines()[0])
    console.print(f"\nquestion: {question['body']['messages'][-1]['content']}")
    console.print(f"answer:   {answer['response']['body']['choices'][0]['message']['content']}")
    table = Table("on AWS", "requests", "US dollars", title="What this batch would have cost")
    table.columns[1].justify = table.columns[2].justify = "right"
    infer = next(each for each in functions(run.settings) if each.name == "infer")
    costs = list(bill(run, infer.memory))
    for cost in costs:
        table.add_row(cost.item, f"{cost.requests:.0f}", f"{cost.dollars:.7f}")
    table.add_section()
    table.add_row("total", f"{run.lines} lines", f"{sum(cost.dollars for cost in costs):.7f}")
    console.print(table)
    console.print("estimated from the lines, bytes and duration of this run")
    console.print(f"questions: {source.resolve()}\nanswers:   {output.resolve()}")
