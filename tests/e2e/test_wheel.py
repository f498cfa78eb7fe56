"""The wheel, installed into an empty virtual environment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "functions" / "api" / "console"
UV = Path(sys.prefix) / "bin" / "uv"
# Where the wheel's packages come from.
SOURCES = {"functions": "functions", "nightlane": "layers/nightlane/nightlane", "nightlane/infra": "infra"}
# A demo that reads the docs of the checkout.
NOT_INSTALLED = ROOT / "infra/cli/embeddings"


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    # Only what is installed can be imported.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a virtual environment with the wheel and its dependencies, as in uv.lock."""
    folder = tmp_path_factory.mktemp("installed")
    locked, python = folder / "pylock.toml", folder / "venv" / "bin" / "python"
    run(
        UV,
        "export",
        "--frozen",
        "--quiet",
        "--no-default-groups",
        "--no-emit-project",
        "--output-file",
        locked,
    )
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    run(UV, "pip", "install", "--quiet", "--python", python, "--requirement", locked)
    run(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    run(UV, "pip", "check", "--quiet", "--python", python)
    return python.parent


def test_the_wheel_has_every_module_and_the_console(wheel: Path) -> None:
    expected = {
        f"{package}/{file.relative_to(ROOT / folder)}"
        for package, folder in SOURCES.items()
        for file in (ROOT / folder).rglob("*.py")
        if NOT_INSTALLED not in file.parents
    }
    expected |= {str(file.relative_to(ROOT)) for file in CONSOLE.iterdir()}
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"functions", "nightlane"}
    assert names == expected


def test_the_installed_command_runs_a_batch(installed: Path, tmp_path: Path) -> None:
    assert "mock-upstream" in run(installed / "nightlane", "--help", cwd=tmp_path)
    output = run(installed / "nightlane", "demo", "--lines", "5", "--latency", "0.01", cwd=tmp_path)
    assert "5 completed, 0 failed, 5 in total" in output


def test_every_installed_module_can_be_imported(installed: Path, wheel: Path, tmp_path: Path) -> None:
    names = [name.removesuffix(".py").removesuffix("/__init__") for name in ZipFile(wheel).namelist()]
    modules = [name.replace("/", ".") for name in names if not re.search(r"\.dist-info/|/console/", name)]
    # The CDK is not installed.
    modules = [name for name in modules if ".infra.deploy." not in name or name.endswith(".deployment")]
    script = f"import importlib, json, sys\nfor each in {modules!r}: importlib.import_module(each)\n"
    script += "print(json.dumps([each for each in sys.modules if each.split('.')[0] == 'infra']))"
    assert json.loads(run(installed / "python", "-c", script, cwd=tmp_path)) == []
