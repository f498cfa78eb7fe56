"""The one error hierarchy, in OpenAI's envelope.

Source of shapes and statuses: https://platform.openai.com/docs/guides/error-codes
"""

from typing import Any, ClassVar

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An answer that is an error; carries OpenAI's `type`, `code`, `param` and the HTTP status."""

    status = 400
    type = INVALID_REQUEST
    # The official clients retry 409 unless this header tells them not to.
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param

    def envelope(self) -> dict[str, Any]:
        """The response body: all four keys, always."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class BadRequest(ApiError):
    """400: the request cannot be served as it is."""


class Unauthorized(ApiError):
    """401: no key, or a key nobody has."""

    status = 401


class NotFound(ApiError):
    """404: no such thing, or not yours; the two cannot be told apart."""

    status = 404


class Conflict(ApiError):
    """409 that a retry cannot change."""

    status = 409
    headers: ClassVar[dict[str, str]] = {"x-should-retry": "false"}


class TooLarge(ApiError):
    """413: the body is above the limit of this way in."""

    status = 413


class ServerError(ApiError):
    """500: our fault."""

    status = 500
    type = "server_error"


class UpstreamError(ApiError):
    """502: the inference endpoint did not answer, or not with what was asked for."""

    status = 502
    type = "server_error"
