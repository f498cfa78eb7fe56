"""The folder for the data of the fault tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# If it exists, flushes take no time here. The disk is simulated, so they are not needed.
IN_MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as made:
        yield Path(made)
