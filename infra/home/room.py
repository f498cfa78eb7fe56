"""What the database and the file system report when the disk is full."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from nightlane.domain.errors import StorageFull

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def needing_room() -> Iterator[None]:
    """Raises: StorageFull, instead of what says so in the block."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise _full() from error
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise _full() from error


def _full() -> StorageFull:
    return StorageFull("The disk of this server is full. Try again once there is room.", code="storage_full")
