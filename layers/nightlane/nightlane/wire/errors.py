"""Error responses in OpenAI's format.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from nightlane.domain.errors import ApiError, Conflict, MethodNotAllowed, Unavailable
from nightlane.wire import objects


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
    # The official clients retry a 409 unless this header forbids it.
    return {"x-should-retry": "false"} if isinstance(error, Conflict) else {}
