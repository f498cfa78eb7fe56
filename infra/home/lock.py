"""Locks of a data folder: one server, one worker and one backup at a time, no deletions during a backup."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .folders import make_folder


class DataInUse(Exception):
    """Another server is using this folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock the folder until the context is closed or the process ends. Raises: DataInUse, OSError."""
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
    """Wait until the worker of a killed server has ended, and keep other workers out."""
    with _locked(folder / "worker", fcntl.LOCK_EX):
        yield


@contextmanager
def deleting(folder: Path) -> Iterator[None]:
    """Wait until objects may be deleted; they may be while the context is open."""
    with _locked(folder / "deletions", fcntl.LOCK_SH):
        yield


@contextmanager
def deletions_blocked(folder: Path) -> Iterator[None]:
    """Block the deletion of objects until the context is closed or the process ends."""
    with _locked(folder / "deletions", fcntl.LOCK_EX):
        yield


@contextmanager
def sole_backup(folder: Path) -> Iterator[None]:
    """Wait until no other backup is running, and keep others out."""
    with _locked(folder / "backup", fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield
