"""The code for Lambda is built without Docker, small enough, and complete for every handler."""

import subprocess
import sys
from pathlib import Path

import pytest

from functions.api.handler import RARE
from infra.deploy.layers import HOST, MAX_DEPENDENCIES_BYTES, ROOT, Code, Platform, build, size_of
from infra.resources import functions
from nightlane.settings import Settings

pytestmark = pytest.mark.xdist_group("cdk")
NOT_IN_LAMBDA = (
    "boto3",
    "s3transfer",
    "openai",
    "moto",
    "aws_cdk",
    "jsii",
    "typer",
    "rich",
    "pytest",
    "infra",
)

# The modules of the layers and of the functions that have no bytecode.
COMPILED_BY_THE_IMPORT = """
from pathlib import Path
specs = [each.__spec__ for each in sys.modules.values() if getattr(each, "__spec__", None)]
own = [each for each in specs if each.cached and each.origin.startswith(tuple(sys.path[-3:]))]
assert len(own) > 400
print("compiled:", *(each.origin for each in own if not Path(each.cached).exists()))
"""


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", "aarch64"), ("x86_64", "x86_64")])
def test_the_dependencies_are_wheels_for_lambda_and_small_enough(architecture: str, machine: str) -> None:
    packages = build(Platform.of(architecture)).dependencies / "python"
    assert size_of(packages) <= MAX_DEPENDENCIES_BYTES
    extensions = [each.name for each in packages.rglob("*.so")]
    assert len(extensions) > 5
    assert all(machine in name and ("cpython-313" in name or "abi3" in name) for name in extensions)
    assert [name for name in NOT_IN_LAMBDA if (packages / name).exists()] == []


def test_the_layers_have_everything_that_the_handlers_import_and_its_bytecode() -> None:
    code = build(HOST)
    paths = [str(code.functions), *(str(layer / "python") for layer in (code.dependencies, code.shared))]
    rare = [f"functions.api.{name}" for name in {*RARE.values(), "openapi", "document_page"}]
    modules = [*(spec.module for spec in functions(Settings())), *rare]
    # Without site-packages, so that every import must come from the layers.
    imports = "\n".join(f"import {module}" for module in modules)
    script = f"import sys; sys.path += {paths!r}\n{imports}\n{COMPILED_BY_THE_IMPORT}"
    environment = {"AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["compiled:"]


def test_the_functions_have_the_files_of_the_console() -> None:
    console = "functions/api/console"
    built = {file.name for file in (build(HOST).functions / console).iterdir()}
    assert built == {file.name for file in (ROOT / console).iterdir()}
    assert "index.html" in built


def test_sizes_are_printed_in_mb(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_bytes(b"x" * 1_500_000)
    assert "layers/dependencies    1.50 MB unzipped" in Code(tmp_path, tmp_path, tmp_path).sizes()
