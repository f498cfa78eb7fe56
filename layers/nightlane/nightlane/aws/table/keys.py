"""API keys. Only the SHA-256 of a key is stored; a random key of 128 bits needs no slow hash."""

import hashlib
from typing import TYPE_CHECKING

from nightlane.aws.table.connection import ConditionFailed, Connection, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoKeys:
    """Who has which key."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def put_key(self, key: str, tenant: str) -> None:
        """Give a key to a tenant; a key that exists keeps its tenant."""
        where = _key_of(key)
        try:
            self._table.insert({"pk": where.pk, "sk": where.sk, "tenant": tenant, "shown": key[-4:]})
        except ConditionFailed:
            return

    def tenant_of(self, key: str) -> str | None:
        """The owner of a key, None if nobody has it."""
        item = self._table.get(_key_of(key))
        return str(item["tenant"]) if item else None


def _key_of(key: str) -> Key:
    return Key(f"KEY#{hashlib.sha256(key.encode()).hexdigest()}", "KEY")
