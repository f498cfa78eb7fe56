"""OpenAI's rate limit headers.

Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

from nightlane.domain.quotas import Allowances


def rate_limit_headers(allowances: Allowances) -> dict[str, str]:
    """Return the headers for what is limited: batches this hour as requests, and enqueued prompt tokens."""
    headers = {}
    for unit, allowance in (("requests", allowances.requests), ("tokens", allowances.tokens)):
        if allowance is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(allowance.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(allowance.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = go_duration(allowance.reset_seconds)
    return headers


def go_duration(seconds: int) -> str:
    """Return whole seconds as Go formats a duration, such as 6m0s or 24h0m0s.

    https://pkg.go.dev/time#Duration.String
    """
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
