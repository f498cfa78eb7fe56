"""Imports go one way: all rooms may import the domain, which imports none; nothing imports the tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nightlane

PACKAGE = Path(nightlane.__file__).parent
ROOT = Path(__file__).parents[2]
SHIPPED = ("functions", "infra", "layers")
AWS_LIBRARIES = ("boto3", "botocore")
FORBIDDEN = {
    "domain": (
        "nightlane.wire",
        "nightlane.aws",
        "nightlane.upstream",
        "nightlane.observability",
        "nightlane.wiring",
        "functions",
        "infra",
    ),
    "wire": (
        "nightlane.aws",
        "nightlane.upstream",
        "nightlane.observability",
        "nightlane.wiring",
        "functions",
    ),
    "aws": ("nightlane.upstream", "nightlane.observability", "nightlane.wiring", "functions", "infra"),
    "upstream": (
        "nightlane.wire",
        "nightlane.aws",
        "nightlane.observability",
        "nightlane.wiring",
        "functions",
    ),
}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, at any level of indentation."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} has a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


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


def test_only_the_aws_package_imports_boto3() -> None:
    elsewhere = (file for file in PACKAGE.rglob("*.py") if PACKAGE / "aws" not in file.parents)
    assert offenders(elsewhere, *AWS_LIBRARIES) == []
