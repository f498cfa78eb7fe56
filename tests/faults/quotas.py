"""Quotas that no story reaches, and a check that their counters are right at its end, whatever crashed."""

from collections.abc import Sequence
from typing import Any

from nightlane.domain.batch import Batch
from nightlane.domain.file import FilePurpose
from nightlane.domain.ports import Ports
from nightlane.domain.quotas import TenantUse, hour_of
from nightlane.settings import Settings

GENEROUS: dict[str, Any] = {
    "quota_batches_per_hour": 1_000,
    "quota_enqueued_requests": 10**6,
    "quota_enqueued_tokens": 10**9,
    "quota_stored_bytes": 10**9,
    "quota_requests_in_flight": 100,
}


def check_counters(ports: Ports[Settings], tenant: str, batches: Sequence[Batch]) -> None:
    """Check the counters when all of the tenant's batches have ended."""
    now = ports.now()
    files = ports.files.list_files(tenant, list(FilePurpose), None, 1_000, now, newest_first=True)
    use = ports.quotas.get_use(tenant, hour_of(now))
    stored = sum(file.size for file in files)
    held = TenantUse(batches=use.batches, tokens_until=use.tokens_until, stored_bytes=stored)
    assert use == held, f"counters leaked: {use}, with {stored} bytes stored"
    hours = {hour_of(batch.created_at) for batch in batches}
    counted = sum(ports.quotas.get_use(tenant, hour).batches for hour in hours)
    assert counted == len(batches), f"{counted} creations were counted, of {len(batches)}"
