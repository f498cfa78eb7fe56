"""The counters of a tenant's quotas: written in the transactions of what they count, and read here."""

from typing import TYPE_CHECKING

from nightlane.aws.table.connection import Connection, Item, Key, TransactionRefused, update
from nightlane.domain.batch import Batch
from nightlane.domain.quota_counts import Counts
from nightlane.domain.quotas import HOUR_SECONDS, QuotaReached, TenantUse, hour_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# DynamoDB deletes expired items within days.
HOUR_RETENTION_SECONDS = 2 * HOUR_SECONDS
Action = tuple[str, Item]


class DynamoQuotas:
    """`domain.quotas.QuotaStore` on DynamoDB."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._table = Connection(client, table)

    def get_use(self, tenant: str, hour: int) -> TenantUse:
        use = self._table.get(use_key(tenant)) or {}
        created = self._table.get(hour_key(tenant, hour)) or {}
        return TenantUse(
            batches=int(created.get("batches", 0)),
            requests=int(use.get("requests", 0)),
            tokens=int(use.get("tokens", 0)),
            tokens_until=int(use.get("tokens_until", 0)),
            in_flight=int(use.get("in_flight", 0)),
            stored_bytes=int(use.get("bytes", 0)),
        )


def use_key(tenant: str) -> Key:
    return Key(f"TENANT#{tenant}", "USE")


def hour_key(tenant: str, hour: int) -> Key:
    return Key(f"TENANT#{tenant}", f"HOUR#{hour:010d}")


def count_creation(batch: Batch) -> Action:
    """Return the action that counts a new batch, in the clock hour of its creation."""
    hour = hour_of(batch.created_at)
    values = {
        "one": 1,
        "limit": batch.quota.batches_per_hour,
        "ttl": hour * HOUR_SECONDS + HOUR_RETENTION_SECONDS,
    }
    return "Update", update(
        hour_key(batch.tenant, hour),
        "ADD #batches :one SET #ttl = :ttl",
        values,
        "attribute_not_exists(#batches) OR #batches < :limit",
    )


def count(tenant: str, counts: Counts, **times: int) -> list[Action]:
    """Return the action that adds to the counters of a tenant, if there is something to add.

    Its condition fails if a limited counter would exceed its limit. Raises: QuotaReached, if it always would.
    """
    if not counts:
        return []
    added, limits = counts.added, counts.limits
    if any(added[name] > limit for name, limit in limits.items()):
        raise QuotaReached
    most_before = {f"{name}_before": limit - added[name] for name, limit in limits.items()}
    conditions = [f"(attribute_not_exists(#{name}) OR #{name} <= :{name}_before)" for name in limits]
    expression = "ADD " + ", ".join(f"#{name} :{name}" for name in added)
    if times:
        expression += " SET " + ", ".join(f"#{name} = :{name}" for name in times)
    values = {**added, **times, **most_before}
    return [("Update", update(use_key(tenant), expression, values, " AND ".join(conditions) or None))]


def raise_if_reached(refusal: TransactionRefused, position: int) -> None:
    """Raise QuotaReached if only the condition of the counter, the action at `position`, failed."""
    if refusal.failed == {position}:
        raise QuotaReached from refusal
