"""SQLite keeps committed transactions through a power loss, and rejects new ones on a full disk."""

import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import openai
import pytest

from infra.cli.mock.process import MockUpstream
from infra.home.database import DATABASE, Database
from infra.home.defaults import HOME_DEFAULTS
from infra.home.server import HomeServer
from nightlane.domain.errors import StorageFull
from nightlane.settings import Settings
from tests.faults.disk import Disk
from tests.faults.home_faults import FULL_SYNC, HomeFault, HomeFaults, faulty_connect
from tests.faults.wal import committed_end, frames
from tests.upstream import only
from tests.world import requests

LOG = f"{DATABASE}-wal"
TRANSACTIONS = 12


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / DATABASE)) as opened:
        yield opened


def put(connection: sqlite3.Connection, number: int) -> None:
    """Insert a row of a few pages."""
    connection.execute("INSERT INTO rests VALUES (?, ?)", (f"{number:05d}", "x" * 10_000))


def commit(database: Database, *numbers: int) -> None:
    """Insert the rows in one transaction."""
    with database.write() as connection:
        for number in numbers:
            put(connection, number)


def recovered(source: Path, target: Path, log: bytes) -> list[int]:
    """The rows of a copy with this log, after checking its integrity."""
    target.mkdir()
    shutil.copy(source / DATABASE, target)
    (target / LOG).write_bytes(log)
    with closing(sqlite3.connect(target / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT upstream FROM rests ORDER BY upstream").fetchall()
    return [int(upstream) for (upstream,) in rows]


def test_every_connection_of_every_thread_flushes_each_commit(database: Database) -> None:
    def settings(_: int) -> tuple[str, int]:
        connection = database.read()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        return mode, synchronous

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(settings, range(20))) == {("wal", FULL_SYNC)}
    assert settings(0) == ("wal", FULL_SYNC)


def test_a_log_truncated_at_any_byte_keeps_every_complete_transaction(
    database: Database, tmp_path: Path
) -> None:
    for number in range(TRANSACTIONS):
        commit(database, number)
    with database.write() as connection:
        # A small cache, so that pages of an uncommitted transaction are written to the log as well.
        connection.execute("PRAGMA cache_size = 2")
        for number in range(TRANSACTIONS, TRANSACTIONS + 10):
            put(connection, number)
        log, ends = (tmp_path / LOG).read_bytes(), list(frames(tmp_path / LOG))
        committed = committed_end(tmp_path / LOG)
        assert len(log) > committed
        chance = random.Random(0)
        cuts = {0, 31, 32, committed - 1, committed, committed + 1, len(log)}
        cuts |= {chance.randrange(len(log)) for _ in range(30)}
        cuts |= {chance.randrange(committed, len(log)) for _ in range(30)}
        schema = next(frame.end for frame in ends if frame.commits)
        for cut in sorted(cuts):
            if cut < schema:
                continue
            whole = sum(frame.commits for frame in ends if schema < frame.end <= cut)
            assert recovered(tmp_path, tmp_path / f"cut-{cut}", log[:cut]) == list(range(whole))


def test_a_checkpoint_interrupted_at_any_page_loses_no_transaction(
    database: Database, tmp_path: Path
) -> None:
    for number in range(TRANSACTIONS):
        commit(database, number)
    file, log = tmp_path / DATABASE, (tmp_path / LOG).read_bytes()
    (page_bytes,) = database.read().execute("PRAGMA page_size").fetchone()
    before = file.read_bytes()
    database.read().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    after = file.read_bytes()
    assert len(after) > len(before)
    chance = random.Random(0)
    for attempt in range(20):
        mixed = bytearray(before.ljust(len(after), b"\0"))
        for start in range(0, len(after), page_bytes):
            if chance.random() < 0.5:
                mixed[start : start + page_bytes] = after[start : start + page_bytes]
        torn = tmp_path / f"torn-{attempt}"
        torn.mkdir()
        (torn / DATABASE).write_bytes(mixed)
        assert recovered(torn, tmp_path / f"recovered-{attempt}", log) == list(range(TRANSACTIONS))


def test_a_full_database_rejects_whole_transactions_until_there_is_space(database: Database) -> None:
    connection = database.read()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    commit(database, 0)
    with pytest.raises(StorageFull):
        commit(database, 1, 2)
    assert connection.execute("SELECT count(*) FROM rests").fetchone() == (1,)
    connection.execute("PRAGMA max_page_count = 1000000")
    commit(database, 3)
    assert connection.execute("SELECT count(*) FROM rests").fetchone() == (2,)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.timeout(300)
def test_the_official_client_gets_a_507_on_a_full_disk_and_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = HomeFaults(fault=HomeFault.FULL, now=time.monotonic)
    disk = Disk(faults)
    disk.patch(monkeypatch)
    monkeypatch.setattr(sqlite3, "connect", faulty_connect(faults, lambda: tmp_path / "data" / LOG))
    disk.attach(tmp_path)
    with MockUpstream() as upstream:
        settings = Settings(upstreams=only(upstream.url), **HOME_DEFAULTS)
        with HomeServer(settings, {"sk-1": "acme"}, tmp_path / "data") as server:
            client = openai.OpenAI(base_url=server.base_url, api_key="sk-1", max_retries=0)
            faults.fill(3_600)
            with pytest.raises(openai.InternalServerError) as refused:
                client.files.create(file=requests(3), purpose="batch")
            assert refused.value.status_code == 507
            assert refused.value.code == "storage_full"
            assert "The disk of this server is full" in refused.value.message
            faults.fill(0.5)
            file = client.with_options(max_retries=5).files.create(file=requests(3), purpose="batch")
            assert client.files.content(file.id).read() == requests(3)
            assert [each.id for each in client.files.list()] == [file.id]
