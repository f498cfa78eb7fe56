"""Files and folders that survive a power loss: file contents and directory entries are flushed."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from .full_disk import reporting_full_disk

# On macOS fsync leaves data in the drive's cache; F_FULLFSYNC does not.
# https://developer.apple.com/library/archive/documentation/System/Conceptual/ManPages_iPhoneOS/man2/fsync.2.html
FULL_FLUSH: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def flush(descriptor: int) -> None:
    """Once this returns, the content of a file, or the names in a folder, survive a power loss."""
    if FULL_FLUSH is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, FULL_FLUSH)


def flush_file(path: Path) -> None:
    """Flush a file that has been closed."""
    with path.open("rb") as file:
        flush(file.fileno())


def flush_folder(path: Path) -> None:
    """Flush the names in a folder, unless it has been removed."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            flush(descriptor)
        finally:
            os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, so that they survive a power loss.

    Raises: StorageFull, OSError.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    with reporting_full_disk():
        path.mkdir(parents=True, exist_ok=True)
    for folder in (path, *missing):
        flush_folder(folder.parent)
