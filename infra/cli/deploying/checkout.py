"""The checkout, which has the CDK app that the wheel has not, and the CDK CLI in it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...version import ROOT
from ..errors import CommandError
from .findings import Finding, ok, problem, warning

CLI = Path(".build/cdk/node_modules/.bin/cdk")


def is_checkout(root: Path) -> bool:
    """Whether this is a checkout, and not an installed wheel."""
    return all((root / name).exists() for name in ("cdk.json", "Makefile", "uv.lock"))


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of Nightlane."""

    root: Path

    @classmethod
    def find(cls, root: Path = ROOT) -> "Checkout":
        """The checkout that this module is in. Raises: CommandError: it is in an installed wheel."""
        if not is_checkout(root):
            raise CommandError(
                "this is an installed package, which has no CDK app: clone the repository, and run "
                "`make deploy` or `.venv/bin/nightlane deploy` there"
            )
        return cls(root)

    @property
    def config(self) -> Path:
        return self.root / "cdk.json"

    @property
    def cli(self) -> Path:
        return self.root / CLI

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the CDK CLI: Node and the CDK app are in the virtual environment."""
        path = f"{self.root / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return os.environ | {"PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"}

    def check_tools(self) -> Iterator[Finding]:
        """Whether the CDK CLI and what it needs are installed."""
        if self.cli.exists():
            yield ok("CDK CLI", str(self.cli))
        elif shutil.which("make"):
            yield warning("CDK CLI", "not installed; `nightlane deploy` installs it", f"or run: make {CLI}")
        else:
            yield problem("CDK CLI", "not installed, and there is no `make` to install it", "install make")

    def install_tools(self) -> None:
        """Install the CDK CLI, Node and the CDK's Python packages, in the versions of the Makefile.

        Raises:
            CommandError
        """
        done = subprocess.run(  # noqa: S603
            ["make", "--silent", str(CLI)],  # noqa: S607
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandError(f"the CDK CLI could not be installed:\n{done.stdout}{done.stderr}".rstrip())
