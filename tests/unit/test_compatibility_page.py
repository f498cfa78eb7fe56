"""docs/compatibility.md names a test for each of its rows, and each of these tests exists."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/compatibility.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| test |")]


@pytest.mark.parametrize("row", ROWS, ids=[row[:40] for row in ROWS])
def test_each_row_names_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`(\w+/\w+\.py)::(test_\w+)`", row.split(" | ")[-1])
    assert named
    for path, name in named:
        assert f"def {name}(" in (TESTS / path).read_text()
