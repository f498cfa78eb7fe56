"""Who may work on a data folder: one server, one worker, one backup, no deletion meanwhile."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.home.folders import make_folder


class DataInUse(Exception):
    """Another server works on this folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder as long as the context is open, or the process lives. Raises: DataInUse, OSError."""
    make_folder(folder)
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


@contextmanager
def sole_worker(folder: Path) -> Iterator[None]:
    """Waits until the worker of a server that was killed has ended, too."""
    with _locked(folder / "worker", fcntl.LOCK_EX):
        yield


@contextmanager
def deleting(folder: Path) -> Iterator[None]:
    """Objects may be deleted as long as the context is open; waits while they may not."""
    with _locked(folder / "deletions", fcntl.LOCK_SH):
        yield


@contextmanager
def nothing_deleted(folder: Path) -> Iterator[None]:
    """No object is deleted as long as the context is open, or the process lives."""
    with _locked(folder / "deletions", fcntl.LOCK_EX):
        yield


@contextmanager
def one_backup(folder: Path) -> Iterator[None]:
    """Waits for a backup that is under way."""
    with _locked(folder / "backup", fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield
