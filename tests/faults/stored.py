"""Reads the stored data directly: without faults, and without counting calls."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType

from infra.home.events import REGION
from infra.home.rows import batch_from_json, find_batch
from nightlane.aws.table.connection import decode
from nightlane.aws.table.items import batch_from_item, shard_from_item
from nightlane.domain.batch import Batch
from nightlane.domain.file import StoredFile
from nightlane.domain.shard import Manifest, Shard


class Stored(Protocol):
    """The data that the watch reads."""

    def batch(self, batch_id: str) -> Batch | None: ...

    def shards(self, batch_id: str) -> Iterator[Shard]: ...

    def running(self) -> int:
        """The number of admitted batches."""

    def events(self) -> int:
        """The number of events in the outbox."""

    def check_leftovers(self, batch_id: str) -> None:
        """Raises: AssertionError, if a batch that has ended left items that do not expire."""


class OnMoto:
    """Reads from the memory of moto."""

    def __init__(self, table: str) -> None:
        self._table = table

    def batch(self, batch_id: str) -> Batch | None:
        item = self._items(f"BATCH#{batch_id}").get("BATCH")
        return batch_from_item(decode(item())) if item else None

    def shards(self, batch_id: str) -> Iterator[Shard]:
        for sort, item in self._items(f"BATCH#{batch_id}").items():
            if sort != "BATCH":
                yield shard_from_item(batch_id, int(sort.split("#")[1]), decode(item()))

    def running(self) -> int:
        admission = self._items("ADMISSION").get("ADMISSION")
        return len(decode(admission()).get("running", ())) if admission else 0

    def events(self) -> int:
        items = dynamodb_backends[ACCOUNT_ID][REGION].tables[self._table].items
        return sum(1 for key, kept in items.items() if key.value.startswith("EVENT#") and kept)

    def check_leftovers(self, batch_id: str) -> None:
        # A worker that was paused while its batch ended may leave an item, which expires.
        items = self._items(f"BATCH#{batch_id}")
        assert all("ttl" in item() for sort, item in items.items() if sort.startswith("SHARD#"))

    def _items(self, partition: str) -> dict[str, Any]:
        """Functions that return the items of a partition, by sort key."""
        table = dynamodb_backends[ACCOUNT_ID][REGION].tables[self._table]
        items = table.items.get(DynamoType({"S": partition}), {})
        return {sort.value: lambda item=item: item.to_json()["Attributes"] for sort, item in items.items()}


class OnDisk:
    """Reads from the database and the objects of a data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Not `sqlite3.connect`, which may be patched to inject faults.
        self._connection = sqlite3.Connection(
            folder / "nightlane.db", isolation_level=None, check_same_thread=False
        )

    def close(self) -> None:
        self._connection.close()

    def batch(self, batch_id: str) -> Batch | None:
        return find_batch(self._connection, batch_id)

    def shards(self, batch_id: str) -> Iterator[Shard]:
        rows = self._connection.execute(
            "SELECT data FROM shards WHERE batch_id = ? ORDER BY number", (batch_id,)
        )
        return (msgspec.json.decode(data, type=Shard) for (data,) in rows.fetchall())

    def running(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM batches WHERE admitted").fetchone()[0])

    def events(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM events").fetchone()[0])

    def check_leftovers(self, batch_id: str) -> None:
        assert list(self.shards(batch_id)) == []

    def batches(self) -> list[Batch]:
        return [batch_from_json(data) for (data,) in self._connection.execute("SELECT data FROM batches")]

    def files(self) -> list[StoredFile]:
        rows = self._connection.execute("SELECT data FROM files WHERE deleted_at IS NULL")
        return [msgspec.json.decode(data, type=StoredFile) for (data,) in rows]

    def messages(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM messages").fetchone()[0])

    def objects(self) -> set[str]:
        """The keys of all objects."""
        root = self.folder / "objects"
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    def check_integrity(self) -> None:
        """Raises: AssertionError, if the database is corrupt, or an object of a row is not intact."""
        assert self._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        sizes = {key: (self.folder / "objects" / key).stat().st_size for key in self.objects()}
        for file in self.files():
            assert sizes.get(file.blob_key) == file.size, f"{file} is {sizes.get(file.blob_key)}"
        for batch in self.batches():
            if batch.status.is_terminal or not batch.is_planned:
                continue
            assert batch.manifest_key is not None
            path = self.folder / "objects" / batch.manifest_key
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
            named = {batch.manifest_key, manifest.input_key, *filter(None, [manifest.order_key])}
            named |= {part.key for shard in self.shards(batch.id) for part in shard.parts}
            assert named <= set(sizes), f"missing: {named - set(sizes)}"


def dump(folder: Path) -> tuple[list[str], dict[str, bytes]]:
    """All rows and all objects of a data folder, without changing it."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in folder.glob("nightlane.db*"):
            shutil.copy(path, scratch)
        with closing(sqlite3.Connection(Path(scratch) / "nightlane.db")) as connection:
            rows = list(connection.iterdump())
    paths = [path for path in (folder / "objects").rglob("*") if path.is_file()]
    return rows, {str(path.relative_to(folder)): path.read_bytes() for path in paths}
