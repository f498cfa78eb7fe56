"""API keys. Only the SHA-256 of a key is stored."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nightlane.aws.table.connection import (
    ConditionFailed,
    Connection,
    Item,
    Key,
    TransactionRefused,
    delete,
)
from nightlane.aws.table.quota_attribute import quota_from_item, quota_to_item
from nightlane.domain.keys import ApiKey, digest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Cannot clash with the owner of a tenant's list, which contains a number sign.
OWNER = "KEYS"


class DynamoKeys:
    """`domain.stores.KeyStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def put_key(self, secret: str, tenant: str) -> None:
        """Store a key chosen by the caller; a key that exists keeps its tenant."""
        self.create_key(ApiKey.of(secret, tenant, int(time.time())))

    def create_key(self, key: ApiKey) -> None:
        """Store a key. A key that exists is left unchanged, so repeating this is harmless."""
        try:
            self._table.insert(_to_item(key))
        except ConditionFailed:
            return

    def tenant_of(self, secret: str) -> str | None:
        """Return the tenant of a key, or None if the key is unknown."""
        key = self.find_key(secret)
        return key.tenant if key else None

    def find_key(self, secret: str) -> ApiKey | None:
        """Return the record of a key, or None if the key is unknown."""
        item = self._table.get(_item_key(digest(secret)))
        return _from_item(item) if item else None

    def list_keys(self, tenant: str | None = None, digits: str = "") -> Iterator[ApiKey]:
        """Return the keys whose SHA-256 begins with `digits`, by tenant and time. Eventually consistent."""
        condition = "#owner = :owner"
        values = {"owner": OWNER}
        if tenant is not None:
            condition += " AND begins_with(#listed, :tenant)"
            values["tenant"] = f"{tenant}#"
        listed = self._table.query(condition, values, index="by_tenant")
        prefix = _item_key(digits).pk
        keys = [Key(item["pk"], item["sk"]) for item in listed if item["pk"].startswith(prefix)]
        return map(_from_item, self._table.get_many(keys))

    def revoke_key(self, key: ApiKey) -> bool:
        """Remove a key; False if it does not exist."""
        condition = {"ConditionExpression": "attribute_exists(pk)"}
        try:
            # boto3 gives a transaction a token, so a retry after a lost response does not fail.
            self._table.transact([("Delete", delete(_item_key(key.sha256)) | condition)])
        except TransactionRefused:
            return False
        return True


def _item_key(sha256: str) -> Key:
    return Key(f"KEY#{sha256}", "KEY")


def _to_item(key: ApiKey) -> Item:
    item_key = _item_key(key.sha256)
    return {
        "pk": item_key.pk,
        "sk": item_key.sk,
        "owner": OWNER,
        "listed": key.listed,
        "tenant": key.tenant,
        "name": key.name,
        "created_at": key.created_at,
        "ends_with": key.ends_with,
        "quota": quota_to_item(key.quota),
    }


def _from_item(item: Item) -> ApiKey:
    return ApiKey(
        sha256=item["pk"].removeprefix("KEY#"),
        tenant=item["tenant"],
        name=item["name"],
        created_at=int(item["created_at"]),
        ends_with=item["ends_with"],
        quota=quota_from_item(item),
    )
