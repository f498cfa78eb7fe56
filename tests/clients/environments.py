"""Isolated installations of clients, below `.build`. They are made once, and again when a version changes."""

import contextlib
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.prefix) / "bin"
BUILD = Path(__file__).parents[2] / ".build" / "clients"
MAX_INSTALL_SECONDS = 150


def python_with(*requirements: str) -> Path:
    """The interpreter of a virtual environment that has these packages."""
    folder = BUILD / _name(requirements)
    python = folder / "bin" / "python"
    with _unless_complete(folder) as is_missing:
        if is_missing:
            _run(BIN / "uv", "venv", "--quiet", "--clear", "--python", sys.executable, folder)
            _run(BIN / "uv", "pip", "install", "--quiet", "--python", python, *requirements)
    return python


def node_modules_with(*packages: str) -> Path:
    """A folder whose `node_modules` has these packages."""
    folder = BUILD / _name(packages)
    with _unless_complete(folder) as is_missing:
        if is_missing:
            _run(BIN / "npm", "install", "--silent", "--no-save", "--prefix", folder, *packages)
    return folder


def _name(packages: tuple[str, ...]) -> str:
    return "-".join(packages).replace("==", "-").replace("@", "-").replace("[", "-").replace("]", "")


@contextlib.contextmanager
def _unless_complete(folder: Path) -> Iterator[bool]:
    """Yield whether a folder is yet to be filled; one process at a time."""
    BUILD.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not complete.exists()
        complete.touch()


def _run(*command: str | Path) -> None:
    # An installation that takes seconds was once seen to wait for ever for its connection.
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=MAX_INSTALL_SECONDS)
        return
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=MAX_INSTALL_SECONDS)
