"""One SQLite database for everything but the objects: durable, and safe to use from several processes.

It uses a write-ahead log with `synchronous=FULL`, so committed transactions survive a power loss.
https://www.sqlite.org/wal.html#performance_considerations
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nightlane.api_settings import MIB

from .full_disk import reporting_full_disk
from .lock import exclusive

DATABASE = "nightlane.db"
# How long a writer waits for another process. Each transaction takes milliseconds.
BUSY_SECONDS = 30.0
# Freed pages are returned to the file system on request.
# https://www.sqlite.org/pragma.html#pragma_auto_vacuum
INCREMENTAL = 2
# The log is truncated to this size after a large transaction.
LOG_BYTES = 16 * MIB
# Each migrates the schema from one version to the next. Never change one that has been released.
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
    """
CREATE TABLE learned_limits (
    upstream TEXT PRIMARY KEY, requests INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID
""",
    "CREATE TABLE admission (id INTEGER PRIMARY KEY CHECK (id = 1), recent TEXT NOT NULL)",
    """
CREATE TABLE shares (
    upstream TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID
""",
    """
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID
""",
    """
CREATE TABLE webhook_endpoints (
    tenant TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE TABLE events (id TEXT PRIMARY KEY, wake_at INTEGER NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX events_by_wake ON events (wake_at)
""",
    """
CREATE TABLE drains (
    batch_id TEXT NOT NULL, lane INTEGER NOT NULL, holder TEXT NOT NULL, in_flight INTEGER NOT NULL,
    until INTEGER NOT NULL, forget_at INTEGER NOT NULL, PRIMARY KEY (batch_id, lane, holder)
) WITHOUT ROWID
""",
    """
CREATE TABLE tenant_use (
    tenant TEXT PRIMARY KEY, requests INTEGER NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0,
    tokens_until INTEGER NOT NULL DEFAULT 0, in_flight INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE tenant_hours (
    tenant TEXT NOT NULL, hour INTEGER NOT NULL, batches INTEGER NOT NULL, PRIMARY KEY (tenant, hour)
) WITHOUT ROWID
""",
    """
CREATE TABLE upstream_use (
    upstream TEXT NOT NULL, hour INTEGER NOT NULL, requests INTEGER NOT NULL, refusals INTEGER NOT NULL,
    trouble TEXT, PRIMARY KEY (upstream, hour)
) WITHOUT ROWID
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
        migrate: bring the schema up to date. No other process may be using the database then.

    Raises:
        SchemaTooNew
        SchemaTooOld: the database needs a migration.
        StorageFull
    """

    def __init__(self, path: Path, *, migrate: bool = True) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        # Threads wait for each other here, because SQLite itself waits by sleeping and retrying.
        self._writing = threading.Lock()
        try:
            with reporting_full_disk():
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
            # In a database that already has pages, the setting takes effect on VACUUM.
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            connection.execute("VACUUM")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed to disk at the end, rolled back if the block raises.

        Raises: StorageFull, sqlite3.Error.
        """
        with reporting_full_disk(), self._writing:
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
        """This thread's connection, for reading. Raises: StorageFull, when a thread opens its first one."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with reporting_full_disk():
                connection = self._local.connection = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        # `check_same_thread`: `close` is called on another thread.
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connections.append(connection)
        # Only for a new database: on an existing one this writes, and would fail on a full disk.
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def close(self) -> None:
        """Close the connections of all threads. None of them may be in use."""
        while self._connections:
            self._connections.pop().close()


@contextmanager
def shared_database(folder: Path, *, create: bool = False) -> Iterator[Database]:
    """Open the database of a folder that a server may be using.

    Raises:
        NoData: the folder has no database, and `create` is false.
        DataInUse: the database needs a migration, and a server is using it.
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
        raise SchemaTooNew(f"the data has schema {version}, this version of Nightlane supports {newest}")
    return bool(version < newest)


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, in the current transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
