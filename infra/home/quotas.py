"""The counters of the tenants' quotas on SQLite, within the transactions of what they count."""

import sqlite3

from nightlane.domain.batch import Batch
from nightlane.domain.quota_counts import Counts
from nightlane.domain.quotas import QuotaReached, TenantUse, hour_of

from .database import Database


class SqliteQuotas:
    """`domain.quotas.QuotaStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_use(self, tenant: str, hour: int) -> TenantUse:
        connection = self._database.read()
        created = connection.execute(
            "SELECT batches FROM tenant_hours WHERE tenant = ? AND hour = ?", (tenant, hour)
        ).fetchone()
        use = connection.execute(
            "SELECT requests, tokens, tokens_until, in_flight, bytes FROM tenant_use WHERE tenant = ?",
            (tenant,),
        ).fetchone()
        return TenantUse(created[0] if created else 0, *(use or ()))


def count_creation(connection: sqlite3.Connection, batch: Batch) -> None:
    """Count a new batch in the clock hour of its creation. Raises: QuotaReached."""
    limit, hour = batch.quota.batches_per_hour, hour_of(batch.created_at)
    if limit is None:
        return
    connection.execute("DELETE FROM tenant_hours WHERE hour < ?", (hour - 1,))
    counted = connection.execute(
        "INSERT INTO tenant_hours VALUES (?, ?, 1)"
        " ON CONFLICT DO UPDATE SET batches = batches + 1 WHERE batches < ?",
        (batch.tenant, hour, limit),
    )
    if not counted.rowcount:
        raise QuotaReached


def count(connection: sqlite3.Connection, tenant: str, counts: Counts, **times: int) -> None:
    """Add to the counters of a tenant. Raises: QuotaReached, if one would exceed its limit."""
    if not counts:
        return
    connection.execute("INSERT OR IGNORE INTO tenant_use (tenant) VALUES (?)", (tenant,))
    additions = [f"{name} = {name} + :{name}" for name in counts.added]
    assignments = ", ".join(additions + [f"{name} = :{name}" for name in times])
    conditions = "".join(f" AND {name} + :{name} <= :{name}_limit" for name in counts.limits)
    limits = {f"{name}_limit": limit for name, limit in counts.limits.items()}
    counted = connection.execute(
        f"UPDATE tenant_use SET {assignments} WHERE tenant = :tenant{conditions}",
        {**counts.added, **times, **limits, "tenant": tenant},
    )
    if not counted.rowcount:
        raise QuotaReached
