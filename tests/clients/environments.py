"""Isolated installations of clients, below `.build`. They are made once, and again when a version changes."""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.prefix) / "bin"
BUILD = Path(__file__).parents[2] / ".build" / "clients"


def python_with(*requirements: str) -> Path:
    """The interpreter of a virtual environment that has these packages."""
    folder = BUILD / _name(requirements)
    python = folder / "bin" / "python"
    if not _is_complete(folder):
        _run(BIN / "uv", "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        _run(BIN / "uv", "pip", "install", "--quiet", "--python", python, *requirements)
        _complete(folder)
    return python


def node_modules_with(*packages: str) -> Path:
    """A folder whose `node_modules` has these packages."""
    folder = BUILD / _name(packages)
    if not _is_complete(folder):
        _run(BIN / "npm", "install", "--silent", "--no-save", "--prefix", folder, *packages)
        _complete(folder)
    return folder


def _name(packages: tuple[str, ...]) -> str:
    return "-".join(packages).replace("==", "-").replace("@", "-").replace("[", "-").replace("]", "")


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").exists()


def _complete(folder: Path) -> None:
    (folder / "complete").touch()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)
