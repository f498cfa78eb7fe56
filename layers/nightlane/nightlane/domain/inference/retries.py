"""Which answers are tried again, and when."""

import random
from collections.abc import Callable

# 409 and 425 mean "not now" at inference servers: https://docs.aws.amazon.com/general/latest/gr/api-retries.html
RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 300.0


def is_retryable(status: int) -> bool:
    """Whether the same request may well succeed later."""
    return status in RETRYABLE_STATUSES or status >= 500


def pause_before(
    attempt: int, retry_after: float | None, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 0); honours Retry-After.

    Full jitter would retry at once now and then; half of the pause is kept.
    """
    if retry_after is not None:
        return min(retry_after, LONGEST_RETRY_AFTER_SECONDS) * (1 + 0.1 * jitter())
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 16))
    return longest * (0.5 + 0.5 * jitter())
