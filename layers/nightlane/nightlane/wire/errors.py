"""Errors as clients get them, in OpenAI's envelope.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from typing import Any

from nightlane.domain.errors import ApiError, Conflict


def envelope(error: ApiError) -> dict[str, Any]:
    """The response body: all four keys, always."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def error_headers(error: ApiError) -> dict[str, str]:
    """What the official clients must be told beside the status."""
    # They retry a 409 unless this header tells them not to.
    return {"x-should-retry": "false"} if isinstance(error, Conflict) else {}
