"""The schema: migrated once, rejected if it is newer, and never changed while a server is using it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.home import database
from infra.home.batches import SqliteBatches
from infra.home.database import DATABASE, Database, NoData, SchemaTooNew, SchemaTooOld, shared_database
from infra.home.files import SqliteKeys
from infra.home.lock import DataInUse, exclusive
from nightlane.domain.keys import ApiKey
from tests.store.examples import NOW, new_batch

NEXT_MIGRATION = "ALTER TABLE keys ADD COLUMN note TEXT; UPDATE keys SET note = 'old'"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / DATABASE


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def test_data_of_the_first_version_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations = database.MIGRATIONS
    monkeypatch.setattr(database, "MIGRATIONS", migrations[:1])
    with closing(Database(path)) as first:
        SqliteKeys(first).create_key(ApiKey.of("sk-1", "acme", 1))
        SqliteBatches(first).create_batch(new_batch(), NOW)
    assert version(path) == 1
    monkeypatch.setattr(database, "MIGRATIONS", (*migrations, NEXT_MIGRATION))
    for _ in range(2):
        with closing(Database(path)) as newest:
            assert SqliteKeys(newest).tenant_of("sk-1") == "acme"
            assert SqliteBatches(newest).get_batch(new_batch().id) == new_batch()
            assert newest.read().execute("SELECT note FROM keys").fetchall() == [("old",)]
    assert version(path) == len(migrations) + 1


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Database(path)):
        before = version(path)
    broken = (*database.MIGRATIONS, NEXT_MIGRATION, "DROP TABLE keys; nonsense")
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError):
        Database(path)
    assert version(path) == before
    monkeypatch.setattr(database, "MIGRATIONS", broken[:-1])
    with closing(Database(path)) as repaired:
        assert list(SqliteKeys(repaired).list_keys()) == []


def test_a_newer_schema_is_rejected(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, NEXT_MIGRATION))
        Database(path).close()
    for migrate in (True, False):
        with pytest.raises(SchemaTooNew, match=f"has schema {version(path)}"):
            Database(path, migrate=migrate)


def test_only_the_holder_of_the_lock_migrates(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with exclusive(path.parent):
        Database(path).close()
        with shared_database(path.parent) as current:
            assert list(SqliteKeys(current).list_keys()) == []
        monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, NEXT_MIGRATION))
        with pytest.raises(SchemaTooOld):
            Database(path, migrate=False)
        with pytest.raises(DataInUse), shared_database(path.parent):
            pass
    with shared_database(path.parent) as current:
        assert version(path) == len(database.MIGRATIONS)


def test_a_database_is_created_only_on_request(path: Path) -> None:
    with pytest.raises(NoData), shared_database(path.parent / "new"):
        pass
    assert not (path.parent / "new").exists()
    with shared_database(path.parent / "new", create=True):
        assert version(path.parent / "new" / DATABASE) == len(database.MIGRATIONS)


def test_a_database_without_incremental_vacuum_is_converted(path: Path) -> None:
    with closing(sqlite3.connect(path)) as old:
        for statement in database.MIGRATIONS[0].split(";"):
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        assert old.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    with closing(Database(path)) as opened:
        assert opened.read().execute("PRAGMA auto_vacuum").fetchone() == (database.INCREMENTAL,)
