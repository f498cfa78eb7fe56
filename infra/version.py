"""The version of the code: the package's, and in a checkout a digest of what is deployed."""

import hashlib
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What ends up in the stack: the code of the functions, their dependencies, and the template.
DEPLOYED = ("functions", "layers/nightlane/nightlane", "infra/deploy")
FILES = ("uv.lock", "infra/resources.py", "infra/environment.py", "infra/gateway.py")
DIGITS = 8


def checkout_version(root: Path = ROOT) -> str:
    """The version of a checkout, such as `0.1.0+3f2a91c4`; the digits change with the deployed code."""
    digest = hashlib.sha256()
    found = (file for folder in DEPLOYED for file in (root / folder).rglob("*"))
    sources = (file for file in found if file.is_file() and "__pycache__" not in file.parts)
    for file in sorted([*sources, *(root / each for each in FILES)]):
        digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    release = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return f"{release}+{digest.hexdigest()[:DIGITS]}"


def package_version() -> str:
    """The version of the installed package, without a digest; empty if it is not installed."""
    try:
        return version("nightlane")
    except PackageNotFoundError:
        return ""
