"""One SQLite database for everything that is not an object: durable, and safe to use from several processes.

Write-ahead log with `synchronous=FULL`: what was committed survives a power loss.
https://www.sqlite.org/wal.html#performance_considerations
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from infra.home.lock import exclusive
from infra.home.room import needing_room
from nightlane.settings import MIB

DATABASE = "nightlane.db"
# A writer waits this long for another process; each transaction takes milliseconds.
BUSY_SECONDS = 30.0
# Pages that were freed are given back when asked: https://www.sqlite.org/pragma.html#pragma_auto_vacuum
INCREMENTAL = 2
# The log is cut back to this after a large transaction.
LOG_BYTES = 16 * MIB
# Each brings the schema from one version to the next; what was released never changes.
MIGRATIONS = (
    """
CREATE TABLE batches (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, listed TEXT NOT NULL, wake_at INTEGER,
    waiting INTEGER NOT NULL DEFAULT 0, admitted INTEGER NOT NULL DEFAULT 0, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX batches_by_tenant ON batches (tenant, listed);
CREATE INDEX batches_by_wake ON batches (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX batches_waiting ON batches (listed) WHERE waiting;
CREATE INDEX batches_admitted ON batches (id) WHERE admitted;
CREATE TABLE shards (
    batch_id TEXT NOT NULL, number INTEGER NOT NULL, forget_at INTEGER, data TEXT NOT NULL,
    PRIMARY KEY (batch_id, number)
) WITHOUT ROWID;
CREATE TABLE files (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, purpose TEXT NOT NULL, listed TEXT NOT NULL,
    expires_at INTEGER, deleted_at INTEGER, wake_at INTEGER, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_by_tenant ON files (tenant, listed) WHERE deleted_at IS NULL;
CREATE INDEX files_by_wake ON files (wake_at) WHERE wake_at IS NOT NULL;
CREATE TABLE rests (upstream TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE keys (
    sha256 TEXT PRIMARY KEY, tenant TEXT NOT NULL, listed TEXT NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, lane TEXT, body TEXT NOT NULL,
    visible_at REAL NOT NULL, receives INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_by_lane ON messages (queue, lane, id)
""",
)


class NoData(Exception):
    """The folder has no database."""


class SchemaTooNew(Exception):
    """The database was written by a newer version of Nightlane."""


class SchemaTooOld(Exception):
    """The database was written by an older version of Nightlane."""


class Database:
    """A connection for each thread, and transactions that exclude all other writers.

    Args:
        migrate: bring the schema up to date, for which nobody else may be using the database.

    Raises:
        SchemaTooNew
        SchemaTooOld: it needs a migration.
        StorageFull
    """

    def __init__(self, path: Path, *, migrate: bool = True) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        # Threads take turns here: SQLite's own way to wait is to sleep and try again.
        self._writing = threading.Lock()
        try:
            with needing_room():
                self._open(migrate)
        except BaseException:
            self.close()
            raise

    def _open(self, migrate: bool) -> None:
        connection = self.read()
        if _is_outdated(connection):
            if not migrate:
                raise SchemaTooOld(f"{self.path} was written by an older version of Nightlane")
            with self.write():
                _migrate(connection)
        if migrate and connection.execute("PRAGMA auto_vacuum").fetchone() != (INCREMENTAL,):
            # A database that has pages takes it over when it is vacuumed.
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            connection.execute("VACUUM")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed to disk at the end, rolled back if the block raises.

        Raises: StorageFull, sqlite3.Error.
        """
        with needing_room(), self._writing:
            connection = self.read()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def read(self) -> sqlite3.Connection:
        """This thread's connection, to read what is committed. Raises: StorageFull, for a thread's first."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with needing_room():
                connection = self._local.connection = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        # Another thread closes it at the end.
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connections.append(connection)
        # Before there is a page; afterwards each connection would write, which a full disk refuses.
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def close(self) -> None:
        """Close the connections of all threads; none of them may be at work."""
        while self._connections:
            self._connections.pop().close()


@contextmanager
def beside_a_server(folder: Path, *, create: bool = False) -> Iterator[Database]:
    """The database of a folder, whether a server is using it or not.

    Raises:
        NoData: there is none, and it is not to be created.
        DataInUse: it needs a migration, and a server is using it.
        SchemaTooNew
    """
    path = folder / DATABASE
    if not path.exists() and not create:
        raise NoData(f"{folder} is not a data folder of `nightlane local`: it has no {DATABASE}")
    try:
        if not path.exists():
            raise SchemaTooOld
        database = Database(path, migrate=False)
    except SchemaTooOld:
        with exclusive(folder):
            database = Database(path)
    with closing(database):
        yield database


def _is_outdated(connection: sqlite3.Connection) -> bool:
    """Raises: SchemaTooNew."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = len(MIGRATIONS)
    if version > newest:
        raise SchemaTooNew(f"the data has schema {version}, this version of Nightlane knows {newest}")
    return bool(version < newest)


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, within the transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
