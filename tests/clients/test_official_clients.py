"""Two major versions of each official client, unmodified, with one suite for each language."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import BIN, node_modules_with, python_with

FOLDER = Path(__file__).parent
# Without this project's configuration, whose plugins other environments do not have.
OWN_PYTEST = f"-m pytest -q -c {os.devnull} --noconftest -p no:cacheprovider".split()
PYTHON = ["2.54.0", "3.57.0"]
NODE = ["6.49.0", "7.57.0"]


@pytest.mark.parametrize("version", PYTHON)
def test_the_python_client(version: str, environment: dict[str, str]) -> None:
    python = python_with(f"openai=={version}", "pytest==9.1.1")
    run(python, *OWN_PYTEST, FOLDER / "python_client.py", **environment)


@pytest.mark.parametrize("version", NODE)
def test_the_node_client(version: str, environment: dict[str, str]) -> None:
    modules = node_modules_with(f"openai@{version}")
    run(BIN / "node", "--test", FOLDER / "node_client.mjs", NODE_CLIENT=str(modules), **environment)


def run(*command: str | Path, **environment: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(command, env=own | environment, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
