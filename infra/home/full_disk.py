"""Recognizes the errors of the database and the file system when the disk is full."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from nightlane.domain.errors import StorageFull

FULL_DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Turn such errors in the block into StorageFull. Raises: StorageFull."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise _full() from error
    except OSError as error:
        if error.errno not in FULL_DISK_ERRNOS:
            raise
        raise _full() from error


def _full() -> StorageFull:
    return StorageFull("The disk of this server is full. Try again once there is room.", code="storage_full")
