"""Build what goes to Lambda, without Docker: the two layers and the functions' code.

https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .bytecode import compile_folder, find_python

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".build" / "lambda"
# Where Lambda has the files of layers and of functions.
LAYERS_PATH, FUNCTIONS_PATH = "/opt", "/var/task"
MB = 1_000_000
# A quarter of it is bytecode.
MAX_DEPENDENCIES_BYTES = 40 * MB
# botocore has 27 MB of data on 400 services. These are the ones called; some credential providers need sts.
SERVICES = frozenset({"dynamodb", "events", "s3", "sqs", "secretsmanager", "sts"})
# The project's dependencies that only the command uses.
NOT_ON_LAMBDA = ("boto3", "openai", "platformdirs", "rich", "typer")
EXTENSION_SOURCE_SUFFIXES = frozenset({".c", ".h", ".pyx", ".pxd", ".pyi"})


class LayerTooLarge(Exception):
    """The dependencies are larger than `MAX_DEPENDENCIES_BYTES`."""


@dataclass(frozen=True)
class Platform:
    """What the wheels are for: uv's platform name and a Python version; empty for this machine."""

    name: str = ""
    python: str = ""

    @classmethod
    def of(cls, architecture: str) -> "Platform":
        """The platform of Lambda's python3.13 on arm64 or x86_64."""
        machine = "aarch64" if architecture == "arm64" else "x86_64"
        return cls(f"{machine}-manylinux2014", "3.13")

    @property
    def folder(self) -> str:
        return self.name or "host"

    @cached_property
    def compiler(self) -> Path | None:
        """The Python that makes bytecode for this platform; None if it is not on this machine."""
        return find_python(self.python) if self.python else Path(sys.executable)


HOST = Platform()


@dataclass(frozen=True, slots=True)
class Code:
    """Folders to zip: one per layer, and one for the functions."""

    dependencies: Path
    shared: Path
    functions: Path

    def sizes(self) -> str:
        """The size of each folder, one per line."""
        folders = {
            "layers/dependencies": self.dependencies,
            "layers/nightlane": self.shared,
            "functions": self.functions,
        }
        return "\n".join(
            f"{name:<20} {size_of(each) / MB:6.2f} MB unzipped" for name, each in folders.items()
        )


def build(platform: Platform) -> Code:
    """Build all three in `.build`; the dependencies only if uv.lock, the platform or this file has changed.

    They have bytecode if this machine has the platform's Python.

    Raises:
        LayerTooLarge: the dependencies are larger than `MAX_DEPENDENCIES_BYTES` unzipped.
        subprocess.CalledProcessError: uv could not get a wheel.
    """
    built = BUILD / platform.folder
    _copy(ROOT / "layers" / "nightlane" / "nightlane", built / "shared" / "python" / "nightlane")
    _copy(ROOT / "functions", built / "functions" / "functions")
    code = Code(_dependencies(platform), built / "shared", built / "functions")
    if platform.compiler:
        compile_folder(platform.compiler, code.shared, LAYERS_PATH)
        compile_folder(platform.compiler, code.functions, FUNCTIONS_PATH)
    return code


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    # Two builds at once write the same files.
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


def _dependencies(platform: Platform) -> Path:
    key = hashlib.sha256((ROOT / "uv.lock").read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    compiled = "-compiled" if platform.compiler else ""
    target = BUILD / f"dependencies-{platform.folder}-{key}{compiled}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _install(platform, unfinished / "python")
        _prune(unfinished / "python")
        if platform.compiler:
            compile_folder(platform.compiler, unfinished, LAYERS_PATH)
        unfinished.rename(target)
    if (size := size_of(target)) > MAX_DEPENDENCIES_BYTES:
        raise LayerTooLarge(
            f"layers/dependencies has {size / MB:.1f} MB, more than {MAX_DEPENDENCIES_BYTES / MB:.0f}"
        )
    return target


def _install(platform: Platform, target: Path) -> None:
    """Install the dependencies of the functions in the versions of uv.lock."""
    uv = Path(sys.prefix) / "bin" / "uv"
    export = "export --color never --frozen --quiet --no-default-groups --no-emit-project --no-hashes"
    locked = _run(uv, *export.split(), *(f"--prune={name}" for name in NOT_ON_LAMBDA))
    target_platform: list[str] = ["--python", sys.executable]
    if platform.name:
        target_platform = ["--python-platform", platform.name, "--python-version", platform.python]
    install = "pip install --quiet --no-deps --only-binary :all: --requirement -"
    _run(uv, *install.split(), *target_platform, "--target", target, stdin=locked)


def _run(*command: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(command, cwd=ROOT, check=True, input=stdin, stdout=subprocess.PIPE).stdout  # noqa: S603


def _prune(packages: Path) -> None:
    for unused in list(_unused(packages)):
        shutil.rmtree(unused) if unused.is_dir() else unused.unlink()


def _unused(packages: Path) -> Iterable[Path]:
    """Data of other AWS services, Swagger's web pages, and the sources of compiled extensions."""
    data = packages / "botocore" / "data"
    yield from (path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES)
    yield packages / "bin"
    yield from packages.glob("aws_lambda_powertools/**/swagger_ui/*.min.*")
    yield from (path for path in packages.rglob("*") if path.suffix in EXTENSION_SOURCE_SUFFIXES)
