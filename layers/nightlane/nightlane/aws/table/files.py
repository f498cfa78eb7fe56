"""File records. A deleted file leaves a tombstone for a week, so that list cursors stay valid."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nightlane.aws.table import quotas
from nightlane.aws.table.connection import (
    ConditionFailed,
    Connection,
    Item,
    Key,
    TransactionRefused,
    put,
    update,
)
from nightlane.aws.table.items import (
    file_from_item,
    file_key,
    file_owner,
    file_to_item,
    wake_partition,
)
from nightlane.domain.file import TOMBSTONE_SECONDS, FilePurpose, StoredFile
from nightlane.domain.quota_counts import deleted, stored

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STORED = "attribute_exists(#pk) AND attribute_not_exists(#deleted_at)"
PENDING = f"{STORED} AND attribute_exists(#pending_until)"


class DynamoFiles:
    """`domain.stores.FileStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def put_file(self, file: StoredFile, max_stored_bytes: int | None = None) -> None:
        counted = quotas.count(file.tenant, stored(file, max_stored_bytes))
        if not counted:
            self._table.insert(file_to_item(file))
            return
        new = put(file_to_item(file)) | {"ConditionExpression": "attribute_not_exists(pk)"}
        try:
            self._table.transact([("Put", new), *counted])
        except TransactionRefused as refusal:
            quotas.raise_if_reached(refusal, 1)
            raise

    def add_file(self, file: StoredFile, max_stored_bytes: int | None = None) -> bool:
        try:
            self.put_file(file, max_stored_bytes)
        except (ConditionFailed, TransactionRefused):
            return False
        return True

    def get_file(self, file_id: str, *, deleted: bool = False) -> StoredFile | None:
        item = self._table.get(file_key(file_id))
        return file_from_item(item) if item and (deleted or "deleted_at" not in item) else None

    def list_position(self, file_id: str, tenant: str) -> str | None:
        item = self._table.get(file_key(file_id))
        return str(item["listed"]) if item and item["tenant"] == tenant else None

    def list_files(
        self,
        tenant: str,
        purposes: Sequence[FilePurpose],
        after: str | None,
        limit: int,
        now: float,
        *,
        newest_first: bool,
    ) -> list[StoredFile]:
        lists = (self._listed(file_owner(tenant, each), after, limit, newest_first) for each in purposes)
        merged = heapq.merge(*lists, key=itemgetter("listed"), reverse=newest_first)
        return list(islice(self._available(merged, limit, now), limit))

    def _available(self, listed: Iterator[Item], limit: int, now: float) -> Iterator[StoredFile]:
        """Skip deleted files that the index still lists, and expired ones that were not swept yet."""
        while keys := [Key(item["pk"], item["sk"]) for item in islice(listed, limit)]:
            for item in self._table.get_many(keys):
                file = file_from_item(item)
                if "deleted_at" not in item and not file.is_expired(now):
                    yield file

    def _listed(self, owner: str, after: str | None, limit: int, newest_first: bool) -> Iterator[Item]:
        condition = "#owner = :owner"
        values = {"owner": owner}
        if after is not None:
            condition += " AND #listed < :after" if newest_first else " AND #listed > :after"
            values["after"] = after
        return self._table.query(
            condition, values, index="by_tenant", newest_first=newest_first, page=min(limit, 1_000)
        )

    def delete_file(self, file: StoredFile, at: int) -> bool:
        tombstone = (
            file_key(file.id),
            "SET #deleted_at = :at, #ttl = :ttl, #active = :active, #wake_at = :at REMOVE #owner",
            {"at": at, "ttl": at + TOMBSTONE_SECONDS, "active": wake_partition(file.id)},
            PENDING if file.is_pending else STORED,
        )
        if not file.is_counted:
            return self._table.update_if(*tombstone)
        try:
            self._table.transact([("Update", update(*tombstone)), *quotas.count(file.tenant, deleted(file))])
        except TransactionRefused:
            return False
        return True

    def complete_file(self, file: StoredFile) -> bool:
        complete = replace(file, pending_until=None, problem=None)
        values: Item = {"owner": file_owner(file.tenant, file.purpose)}
        if complete.ends_at is None:
            expression = "SET #owner = :owner REMOVE #pending_until, #problem, #active, #wake_at"
        else:
            values["ends_at"] = complete.ends_at
            expression = "SET #owner = :owner, #wake_at = :ends_at REMOVE #pending_until, #problem"
        return self._table.update_if(file_key(file.id), expression, values, PENDING)

    def refuse_file(self, file_id: str, problem: str) -> bool:
        return self._table.update_if(
            file_key(file_id), "SET #problem = :problem", {"problem": problem}, PENDING
        )

    def forget_file(self, file_id: str) -> None:
        self._table.update_if(
            file_key(file_id), "REMOVE #active, #wake_at", {}, "attribute_exists(#deleted_at)"
        )
