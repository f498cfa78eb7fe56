"""Webhook endpoints. Those of a tenant share a partition, so that one is only found with its tenant."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nightlane.aws.table.connection import (
    Connection,
    Item,
    Key,
    TransactionRefused,
    delete,
    put,
    update,
)
from nightlane.domain.webhook import EventType, Health, WebhookEndpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# The sort key of the set of a tenant's endpoints. It sorts before every id.
IDS = "IDS"
_CHANGEABLE = (
    "name",
    "url",
    "event_types",
    "updated_at",
    "secret",
    "previous_secret",
    "previous_until",
    "version",
)


class DynamoEndpoints:
    """`domain.webhook_ports.EndpointStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def create_endpoint(self, endpoint: WebhookEndpoint, limit: int) -> bool:
        counted = update(
            Key(_partition(endpoint.tenant), IDS),
            "ADD #ids :id",
            {"id": {endpoint.id}, "limit": limit, "this": endpoint.id},
            "attribute_not_exists(#ids) OR size(#ids) < :limit OR contains(#ids, :this)",
        )
        try:
            self._table.transact([("Update", counted), ("Put", put(_to_item(endpoint)))])
        except TransactionRefused:
            return False
        return True

    def get_endpoint(self, tenant: str, endpoint_id: str) -> WebhookEndpoint | None:
        item = self._table.get(_key(tenant, endpoint_id))
        return _from_item(item) if item and "url" in item else None

    def list_endpoints(self, tenant: str) -> list[WebhookEndpoint]:
        condition = "#pk = :pk AND #sk > :ids"
        items = self._table.query(condition, {"pk": _partition(tenant), "ids": IDS})
        return sorted(map(_from_item, items), key=lambda endpoint: endpoint.listed, reverse=True)

    def change_endpoint(self, endpoint: WebhookEndpoint) -> bool:
        item = _to_item(endpoint)
        values = {name: item[name] for name in _CHANGEABLE} | {"before": endpoint.version - 1}
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in _CHANGEABLE)
        key = _key(endpoint.tenant, endpoint.id)
        return self._table.update_if(key, expression, values, "#version = :before")

    def delete_endpoint(self, tenant: str, endpoint_id: str) -> bool:
        condition = {"ConditionExpression": "attribute_exists(pk)"}
        removed = delete(_key(tenant, endpoint_id)) | condition
        counted = update(Key(_partition(tenant), IDS), "DELETE #ids :id", {"id": {endpoint_id}})
        try:
            # boto3 gives a transaction a token, so a retry after a lost response does not fail.
            self._table.transact([("Delete", removed), ("Update", counted)])
        except TransactionRefused:
            return False
        return True

    def note_health(self, endpoint: WebhookEndpoint, health: Health) -> bool:
        seen = endpoint.health
        values = {
            "failures": health.failures,
            "rests_until": health.rests_until,
            "seen_failures": seen.failures,
            "seen_rest": seen.rests_until,
        }
        return self._table.update_if(
            _key(endpoint.tenant, endpoint.id),
            "SET #failures = :failures, #rests_until = :rests_until",
            values,
            "#failures = :seen_failures AND #rests_until = :seen_rest",
        )


def _partition(tenant: str) -> str:
    return f"WEBHOOKS#{tenant}"


def _key(tenant: str, endpoint_id: str) -> Key:
    return Key(_partition(tenant), endpoint_id)


def _to_item(endpoint: WebhookEndpoint) -> Item:
    key = _key(endpoint.tenant, endpoint.id)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "tenant": endpoint.tenant,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": [each.value for each in endpoint.event_types],
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        # Not `listed`: an item with that and an owner would be in the index of lists.
        "position": endpoint.listed,
        "secret": endpoint.secret,
        "previous_secret": endpoint.previous_secret,
        "previous_until": endpoint.previous_until,
        "version": endpoint.version,
        "failures": endpoint.health.failures,
        "rests_until": endpoint.health.rests_until,
    }


def _from_item(item: Mapping[str, Any]) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=item["sk"],
        tenant=item["tenant"],
        name=item["name"],
        url=item["url"],
        event_types=tuple(map(EventType, item["event_types"])),
        created_at=int(item["created_at"]),
        updated_at=int(item["updated_at"]),
        listed=item["position"],
        secret=item["secret"],
        previous_secret=item["previous_secret"],
        previous_until=int(item["previous_until"]),
        version=int(item["version"]),
        health=Health(int(item["failures"]), int(item["rests_until"])),
    )
