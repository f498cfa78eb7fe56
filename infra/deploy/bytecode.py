"""Compiles the code for Lambda, whose disk is read-only: otherwise each cold start compiles its imports."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def find_python(version: str) -> Path | None:
    """Return a Python of this version (`3.13`) on this machine; bytecode is for one version only."""
    for candidate in _candidates(version):
        command = [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    # pyenv's command fails unless the version has been selected.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/python"), reverse=True)


def compile_folder(python: Path, folder: Path, deployed: str) -> None:
    """Compile everything in a folder, which will be at the path `deployed`.

    The bytecode does not depend on the times of the sources, which differ after each build, and in a layer.
    So the same sources have the same bytecode, as CDK expects of an asset.
    https://docs.python.org/3/library/compileall.html
    """
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", deployed]
    subprocess.run([python, "-m", "compileall", *options, str(folder)], check=True)  # noqa: S603
