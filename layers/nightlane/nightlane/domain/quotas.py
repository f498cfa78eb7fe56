"""Quotas: how much a tenant may create, queue, store and send at once.

Each counter changes in the transaction that changes the batch or the file, and that change happens once.
"""

import math
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

HOUR_SECONDS = 3_600
# https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
BYTES_PER_TOKEN = 4
# DynamoDB's numbers have 38 digits, JSON's in other clients have 53 bits.
MAX_QUOTA = 2**53 - 1


class Quota(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tenant may use; None is unlimited."""

    batches_per_hour: int | None = None
    enqueued_requests: int | None = None
    """Request lines of all its planned batches that have not ended."""
    enqueued_tokens: int | None = None
    """Estimated prompt tokens of the same lines."""
    stored_bytes: int | None = None
    requests_in_flight: int | None = None

    @property
    def limits_enqueued(self) -> bool:
        return self.enqueued_requests is not None or self.enqueued_tokens is not None

    def over(self, default: "Quota") -> "Quota":
        """Return this quota, with another one's numbers for what it leaves open."""
        return Quota(**(_numbers(default) | _numbers(self)))


NO_QUOTA = Quota()


class BatchSize(msgspec.Struct, frozen=True):
    """What planning finds out about a batch, besides the number of its lines and shards."""

    input_bytes: int = 0
    prompt_tokens: int = 0
    """An estimate: see `estimate_prompt_tokens`."""
    lanes: int = 0
    requests_in_flight: int = 0
    """At most, in all lanes."""
    requests_per_worker: int = 0
    """The setting `requests_in_flight_per_worker`, which decides the memory of a worker."""


NO_SIZE = BatchSize()


class TenantUse(msgspec.Struct, frozen=True):
    """What counts against the quotas of a tenant now."""

    batches: int = 0
    """Created in the current clock hour."""
    requests: int = 0
    tokens: int = 0
    tokens_until: int = 0
    """When the batch that was planned last expires, in seconds since 1970."""
    in_flight: int = 0
    stored_bytes: int = 0


class QuotaReached(Exception):
    """A write would exceed a quota of the tenant; nothing was changed."""


class QuotaStore(Protocol):
    """Reads the counters. The stores of batches and files write them, with what they count."""

    def get_use(self, tenant: str, hour: int) -> TenantUse:
        """Return the use of a tenant; `hour` is the clock hour, in hours since 1970."""


class Allowance(msgspec.Struct, frozen=True):
    """What is left of a quota."""

    limit: int
    remaining: int
    reset_seconds: int
    """After this, at the latest, all of it is available again."""


class Allowances(msgspec.Struct, frozen=True):
    """What is left of the quotas that clients see in headers; None for what is not limited."""

    requests: Allowance | None = None
    """Batches in this clock hour."""
    tokens: Allowance | None = None
    """Enqueued prompt tokens."""


def hour_of(seconds: float) -> int:
    """Return the clock hour, in hours since 1970."""
    return int(seconds) // HOUR_SECONDS


def get_allowances(store: QuotaStore, tenant: str, quota: Quota, now: float) -> Allowances:
    """Return what is left of a quota; reads nothing if there is nothing to show."""
    if quota.batches_per_hour is None and quota.enqueued_tokens is None:
        return Allowances()
    use, hour = store.get_use(tenant, hour_of(now)), hour_of(now)
    seconds_left = (hour + 1) * HOUR_SECONDS - int(now)
    return Allowances(
        _allowance(quota.batches_per_hour, use.batches, seconds_left),
        _allowance(quota.enqueued_tokens, use.tokens, use.tokens_until - int(now)),
    )


def _allowance(limit: int | None, used: int, reset_seconds: int) -> Allowance | None:
    if limit is None:
        return None
    return Allowance(limit, max(0, limit - used), max(0, reset_seconds) if used > 0 else 0)


def in_flight_per_upstream(quota: Quota, upstreams: int) -> int | None:
    """Return how many requests a batch may have in flight at each of its upstreams; None if unlimited.

    Raises: QuotaReached, if that is less than one.
    """
    if quota.requests_in_flight is None:
        return None
    if quota.requests_in_flight < upstreams:
        raise QuotaReached
    return quota.requests_in_flight // upstreams


def estimate_prompt_tokens(body: Any) -> int:
    """Estimate the tokens of a request: one for every four bytes of its strings, one for each token number.

    Embedded files (`data:` URLs) do not count: how many tokens an image has depends on the model.
    """
    size, numbers, left = 0, 0, [body]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if not value.startswith("data:"):
                size += len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            # An input may be a list of tokens, or of lists of them.
            if value and type(value[0]) is int:
                numbers += len(value)
            else:
                left.extend(value)
    return math.ceil(size / BYTES_PER_TOKEN) + numbers


def parse_quota(entries: Iterable[str]) -> Quota:
    """Return the quota of entries such as `batches_per_hour=100`. Raises: ValueError."""
    numbers: dict[str, int] = {}
    for entry in entries:
        name, _, text = entry.partition("=")
        if name not in Quota.__struct_fields__:
            raise ValueError(f"unknown quota {name!r}; there are {', '.join(Quota.__struct_fields__)}")
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_QUOTA):
            raise ValueError(f"{name} must be a whole number from 1 to {MAX_QUOTA}")
        numbers[name] = int(text)
    return Quota(**numbers)


def show_quota(quota: Quota) -> str:
    """Return a quota as `parse_quota` reads it, one entry a line."""
    return "\n".join(f"{name}={number}" for name, number in _numbers(quota).items())


def quota_to_text(quota: Quota) -> str:
    """Return a quota as JSON, without what is unlimited."""
    return msgspec.json.encode(quota).decode()


def quota_from_text(text: str) -> Quota:
    """Return a quota from JSON. Raises: ValueError."""
    return msgspec.json.decode(text, type=Quota)


def _numbers(quota: Quota) -> dict[str, int]:
    return {name: number for name, number in msgspec.structs.asdict(quota).items() if number is not None}
