"""The errors that clients see when a quota is used up.

Source of the text about enqueued tokens: recorded answers of the live API.
"""

from nightlane.domain.batch import Batch
from nightlane.domain.errors import Forbidden, RateLimited
from nightlane.domain.line_checks import Invalid
from nightlane.domain.quotas import BatchSize, Quota, QuotaStore, get_allowances, hour_of

# The official clients wait no longer than this.
MAX_RETRY_SECONDS = 60


def too_many_batches(store: QuotaStore, tenant: str, quota: Quota, now: float) -> RateLimited:
    """Return the error for a tenant that may create no more batches in this hour."""
    allowances = get_allowances(store, tenant, quota, now)
    wait = allowances.requests.reset_seconds if allowances.requests else 0
    message = (
        f"Rate limit reached for batches in organization {tenant}. Limit: {quota.batches_per_hour} batches "
        f"per hour. Please try again in {wait}s. (rate_limit_exceeded)"
    )
    return RateLimited(message, allowances, min(MAX_RETRY_SECONDS, max(1, wait)))


def too_many_bytes(quota: Quota) -> Forbidden:
    """Return the error for a file that the tenant may not store."""
    message = (
        f"Stored bytes limit reached. Limit: {quota.stored_bytes} bytes. "
        "Please delete files, or wait until some have expired. (insufficient_quota)"
    )
    return Forbidden(message, code="insufficient_quota")


def too_much_enqueued(
    store: QuotaStore, batch: Batch, total: int, size: BatchSize, model: str | None
) -> Invalid:
    """Return the validation error of a batch whose lines its tenant may not enqueue."""
    quota, use = batch.quota, store.get_use(batch.tenant, hour_of(batch.created_at))
    unit, limit = "token", quota.enqueued_tokens
    too_many_requests = quota.enqueued_requests is not None and use.requests + total > quota.enqueued_requests
    # By now another batch may have ended, so that neither is used up.
    if limit is None or (too_many_requests and use.tokens + size.prompt_tokens <= limit):
        unit, limit = "request", quota.enqueued_requests
    count = total if unit == "request" else size.prompt_tokens
    return Invalid(
        "token_limit_exceeded",
        f"Enqueued {unit} limit reached for {model or 'several models'} in organization {batch.tenant}. "
        f"Limit: {limit:,} enqueued {unit}s; this batch has {count:,}. "
        "Please try again once some in_progress batches have been completed.",
    )


def too_few_in_flight(quota: Quota, upstreams: int) -> Invalid:
    """Return the validation error of a batch with more upstreams than requests it may have in flight."""
    return Invalid(
        "invalid_request",
        f"The models of this batch are served by {upstreams} endpoints, and the organization may have only "
        f"{quota.requests_in_flight} requests in flight. Please use a batch for each model.",
    )
