"""Error responses in OpenAI's format.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from nightlane.domain.errors import (
    ApiError,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    RateLimited,
    Unavailable,
)
from nightlane.wire import objects
from nightlane.wire.rate_limits import rate_limit_headers


def envelope(error: ApiError) -> objects.Error:
    """Return the response body. All four keys are always present."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def error_headers(error: ApiError) -> dict[str, str]:
    """Return the headers that an error response needs."""
    if isinstance(error, MethodNotAllowed):
        # https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, Unavailable):
        return {"Retry-After": "1"}
    if isinstance(error, RateLimited):
        return {"retry-after": str(error.retry_after)} | rate_limit_headers(error.allowances)
    # The official clients retry a 409 unless this header forbids it; other clients may retry a 403.
    return {"x-should-retry": "false"} if isinstance(error, Conflict | Forbidden) else {}
