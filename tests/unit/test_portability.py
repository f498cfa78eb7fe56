"""What runs on one machine runs on Linux and macOS, and however Python starts a process."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("infra/home", "infra/cli", "functions", "layers")
# Of Linux alone; and ways to start a process that copy a running one, with its threads' locks and SQLite's.
LINUX_ONLY = re.compile(
    r"/proc\b|prctl|epoll|inotify|sched_setaffinity|pidfd|memfd|/dev/shm|SYS_|\bsyscall\b"
)
FORKS = {"fork", "forkpty", "preexec_fn", "multiprocessing", "ProcessPoolExecutor", "set_start_method"}


def names_in(node: ast.AST) -> Iterator[str]:
    """Names, attributes, keywords and imports that a node mentions."""
    for field in ("id", "attr", "arg", "name", "module"):
        if isinstance(value := getattr(node, field, None), str):
            yield value


def sources() -> Iterator[Path]:
    for room in ROOMS:
        found = list((ROOT / room).rglob("*.py"))
        assert found, f"{room} has moved"
        yield from found


@pytest.mark.parametrize("text", ["Path(f'/proc/{pid}')", "libc.prctl(1, 9)"])
def test_what_only_linux_has_is_found(text: str) -> None:
    assert LINUX_ONLY.search(text)


@pytest.mark.parametrize(
    "text", ["os.fork()", "Popen([], preexec_fn=end)", "import multiprocessing.pool", "from os import fork"]
)
def test_a_fork_is_found(text: str) -> None:
    assert any(name.split(".")[0] in FORKS for node in ast.walk(ast.parse(text)) for name in names_in(node))


def test_nothing_is_used_that_only_linux_has() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if LINUX_ONLY.search(line)
    ]
    assert found == []


def test_no_process_is_made_by_forking_this_one() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_in(node)
        if name.split(".")[0] in FORKS
    ]
    assert found == []
