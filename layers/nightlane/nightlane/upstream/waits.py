"""How long an upstream asks its callers to wait."""

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

# Rate limiters report the state of these buckets in headers. A reset is in seconds or a Go duration (`6m0s`).
# https://platform.openai.com/docs/guides/rate-limits
BUCKETS = ("requests", "tokens")
TOO_MANY_REQUESTS = 429
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def retry_after(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait; None if the headers do not say. `now` is seconds since 1970."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (
        value is not None
        and (seconds := _number(value) if _number(value) is not None else _date(value, now)) is not None
    ):
        return seconds
    if status != TOO_MANY_REQUESTS:
        return None
    empty = [name for name in BUCKETS if headers.get(f"x-ratelimit-remaining-{name}") == "0"]
    resets = [_duration(headers.get(f"x-ratelimit-reset-{name}")) for name in empty]
    return max((each for each in resets if each is not None), default=None)


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(value: str, now: float) -> float | None:
    """Return the seconds until an HTTP date (RFC 9110 §10.2.3)."""
    at = _timestamp(value)
    return None if at is None else max(0.0, at - now)


def _timestamp(value: str) -> float | None:
    try:
        date = parsedate_to_datetime(value)
        # Without a zone, or in -0000, it is UTC as well.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _duration(value: str | None) -> float | None:
    if value is None or (seconds := _number(value)) is not None:
        return None if value is None else seconds
    parts = _DURATION.findall(value)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return total if parts and math.isfinite(total) else None
