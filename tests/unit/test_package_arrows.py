"""Imports go one way: all rooms may import the domain, which imports none; nothing imports the tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nightlane

PACKAGE = Path(nightlane.__file__).parent
ROOT = Path(__file__).parents[2]
SHIPPED = ("functions", "infra", "layers")
AWS_LIBRARIES = ("boto3", "botocore")
ABOVE_ALL_ROOMS = (
    "nightlane.observability",
    "nightlane.wiring",
    "nightlane.infra",
    "functions",
    "infra",
)
SENDERS = ("nightlane.upstream", "nightlane.webhooks")
FORBIDDEN = {
    "domain": ("nightlane.wire", "nightlane.aws", *SENDERS, *ABOVE_ALL_ROOMS),
    "wire": ("nightlane.aws", *SENDERS, *ABOVE_ALL_ROOMS),
    "aws": (*SENDERS, *ABOVE_ALL_ROOMS),
    "upstream": ("nightlane.wire", "nightlane.aws", "nightlane.webhooks", *ABOVE_ALL_ROOMS),
    "webhooks": ("nightlane.wire", "nightlane.aws", "nightlane.upstream", *ABOVE_ALL_ROOMS),
}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, at any level of indentation."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import, resolved as in the checkout.
            package = file.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *filter(None, [node.module])])
            yield from (f"{module}.{name.name}" for name in node.names)


def offenders(files: Iterator[Path], *forbidden: str) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}: {module}"
        for file in files
        for module in imports(file)
        if any(module == each or module.startswith(f"{each}.") for each in forbidden)
    ]


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_no_room_that_is_forbidden_to_it(room: str) -> None:
    assert offenders((PACKAGE / room).rglob("*.py"), *FORBIDDEN[room]) == []


def test_shipped_code_imports_no_tests_and_no_benchmarks() -> None:
    shipped = (file for folder in SHIPPED for file in (ROOT / folder).rglob("*.py"))
    assert offenders(shipped, "tests", "bench") == []


def test_what_the_wheel_has_of_infra_does_not_import_it_by_name() -> None:
    folder = ROOT / "infra"
    files = [
        *folder.glob("*.py"),
        *(file for room in ("home", "cli") for file in (folder / room).rglob("*.py")),
    ]
    assert len(files) > 40
    absolute = [
        f"{file.relative_to(ROOT)}: {line}"
        for file in files
        for line in file.read_text().splitlines()
        if re.match(r"\s*(from|import) infra\b", line)
    ]
    assert absolute == []


def test_only_the_aws_package_imports_boto3() -> None:
    elsewhere = (file for file in PACKAGE.rglob("*.py") if PACKAGE / "aws" not in file.parents)
    assert offenders(elsewhere, *AWS_LIBRARIES) == []
