"""One server a data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataInUse(Exception):
    """Another server works on this folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder as long as the context is open, or the process lives. Raises: DataInUse, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise DataInUse(f"{folder} is in use by the server with pid {file.read().strip()}") from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
