"""Lists and look-ups on SQLite use an index, however much there is; pages hold what they should."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from infra.home.database import DATABASE, Database
from infra.home.queues import Queue, SqliteQueues
from infra.home.rows import to_json
from nightlane.domain.file import FilePurpose
from tests.store.conftest import Stores, on_sqlite
from tests.store.examples import NOW, file, new_batch

BATCHES = 10_000
PAGE = 100


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """10,000 batches and files of one tenant, and some of another."""
    with closing(Database(tmp_path_factory.mktemp("data") / DATABASE)) as database:
        batches = [new_batch(number, "acme" if number % 100 else "other") for number in range(BATCHES)]
        files = [file(number, tenant="acme" if number % 100 else "other") for number in range(BATCHES)]
        with database.write() as connection:
            connection.executemany(
                "INSERT INTO batches (id, tenant, listed, data) VALUES (?, ?, ?, ?)",
                [(each.id, each.tenant, each.listed, to_json(each)) for each in batches],
            )
            connection.executemany(
                "INSERT INTO files (id, tenant, purpose, listed, data) VALUES (?, ?, ?, ?, ?)",
                [(each.id, each.tenant, each.purpose, each.listed, to_json(each)) for each in files],
            )
        yield database


@pytest.fixture
def stores(full: Database) -> Stores:
    return on_sqlite(full)


def plans(database: Database, call: Callable[[], object]) -> list[str]:
    """How SQLite does what is asked of it meanwhile: a line for each table that it goes through."""
    asked: list[str] = []
    connection = database.read()
    connection.set_trace_callback(asked.append)
    call()
    connection.set_trace_callback(None)
    with closing(sqlite3.connect(database.path)) as beside:
        return [
            detail
            for statement in asked
            if statement.startswith(("SELECT", "UPDATE", "DELETE"))
            for *_, detail in beside.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]


def test_ten_thousand_batches_are_listed_page_by_page(stores: Stores) -> None:
    listed: list[str] = []
    after = None
    while page := stores.batches.list_batches("acme", after, PAGE):
        listed += [each.id for each in page]
        after = page[-1].listed
    expected = [new_batch(number).id for number in reversed(range(BATCHES)) if number % 100]
    assert listed == expected


def test_a_page_of_batches_is_read_from_the_index(full: Database, stores: Stores) -> None:
    for after in (None, new_batch(5_000).listed):
        (plan,) = plans(full, lambda: stores.batches.list_batches("acme", after, PAGE))  # noqa: B023
        assert plan.startswith("SEARCH batches USING INDEX batches_by_tenant (tenant=? AND listed<?)")


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_page_of_files_is_read_from_the_index(full: Database, stores: Stores, newest_first: bool) -> None:
    purposes = [FilePurpose.BATCH, FilePurpose.VISION]
    for after in (None, file(5_000).listed):
        found = plans(
            full,
            lambda: stores.files.list_files("acme", purposes, after, PAGE, NOW, newest_first=newest_first),  # noqa: B023
        )
        sign = "<" if newest_first else ">"
        index = f"SEARCH files USING INDEX files_by_tenant (tenant=? AND listed{sign}?)"
        assert any(line.startswith(index) for line in found)
        assert not any("TEMP B-TREE" in line or line.startswith("SCAN files") for line in found)


def test_nothing_that_is_asked_again_and_again_goes_through_a_whole_table(
    full: Database, stores: Stores
) -> None:
    queues = SqliteQueues(full, lambda: float(NOW))
    batch = new_batch(1)
    for call in (
        lambda: list(stores.batches.due(NOW)),
        lambda: list(stores.batches.waiting_batches()),
        lambda: stores.batches.slots(),
        lambda: stores.batches.get_batch(batch.id),
        lambda: list(stores.batches.shards(batch.id)),
        lambda: stores.files.get_file("file-1"),
        lambda: stores.keys.tenant_of("sk-1"),
        lambda: queues.receive(Queue.PLAN, 30),
    ):
        found = plans(full, call)
        assert found
        scanned = [line for line in found if line.startswith("SCAN") and "USING INDEX" not in line]
        assert scanned == []
