"""The state of an upstream that all lanes share: a small record that expires by itself."""

from typing import TYPE_CHECKING

from nightlane.aws.table.connection import ConditionFailed, Connection, Item
from nightlane.aws.table.items import rest_from_item, rest_key, trouble_to_map
from nightlane.domain.trouble import REST_RETENTION_SECONDS, Rest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoUpstreams:
    """`domain.ports.UpstreamStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def get_rest(self, upstream: str) -> Rest | None:
        item = self._table.get(rest_key(upstream))
        return rest_from_item(item) if item and "until" in item else None

    def begin_rest(self, upstream: str, rest: Rest, previous: Rest | None) -> Rest:
        values: Item = {
            "until": rest.until,
            "count": rest.count,
            "trouble": trouble_to_map(rest.trouble),
            "ttl": rest.until + REST_RETENTION_SECONDS,
        }
        unchanged = "attribute_not_exists(#until)"
        if previous is not None:
            values["previous"] = previous.until
            unchanged = f"({unchanged} OR #until = :previous)"
        try:
            self._table.update(
                rest_key(upstream),
                "SET #until = :until, #count = :count, #trouble = :trouble, #ttl = :ttl",
                values,
                unchanged,
            )
        except ConditionFailed as refusal:
            return rest_from_item(refusal.old) if refusal.old else rest
        return rest

    def end_rest(self, upstream: str) -> None:
        try:
            self._table.update(
                rest_key(upstream),
                "REMOVE #until, #count, #trouble",
                {},
                "attribute_exists(#until)",
            )
        except ConditionFailed:
            return
