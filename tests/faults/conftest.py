"""Where the data folders of one machine are."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A flush takes no time here, if there is such a place: what the disk does is simulated.
IN_MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as made:
        yield Path(made)
