"""The errors that the API returns.

Source of types, codes and statuses: https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Sequence

from nightlane.domain.quotas import Allowances

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An error response, with OpenAI's `type`, `code` and `param` and the HTTP status."""

    status = 400
    type = INVALID_REQUEST

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


class BadRequest(ApiError):
    """400: the request is invalid."""


class Unauthorized(ApiError):
    """401: the key is missing or unknown."""

    status = 401


class NotFound(ApiError):
    """404: it does not exist, or belongs to another tenant; clients cannot tell which."""

    status = 404


class Forbidden(ApiError):
    """403: a quota of the tenant is used up, and a retry does not help."""

    status = 403


class MethodNotAllowed(ApiError):
    """405: the path exists, but not with this method. `allowed` are those that it has."""

    status = 405

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message, code="method_not_supported")
        self.allowed = allowed


class Conflict(ApiError):
    """409: the request conflicts with the current state; a retry does not help."""

    status = 409


class TooLarge(ApiError):
    """413: the body is larger than the limit."""

    status = 413


class RateLimited(ApiError):
    """429: too many requests; another one may be sent after `retry_after` seconds."""

    status = 429
    type = "requests"

    def __init__(self, message: str, allowances: Allowances, retry_after: int) -> None:
        super().__init__(message, code="rate_limit_exceeded")
        self.allowances = allowances
        self.retry_after = retry_after


class ServerError(ApiError):
    """500: an internal error."""

    status = 500
    type = "server_error"


class Unavailable(ApiError):
    """503: the server needs more time; the same request, repeated, succeeds later."""

    status = 503
    type = "server_error"


class StorageFull(ApiError):
    """507: the disk is full; nothing was changed.

    https://www.rfc-editor.org/rfc/rfc4918#section-11.5
    """

    status = 507
    type = "server_error"


class UpstreamError(ApiError):
    """502: the inference endpoint did not respond, or its response was invalid."""

    status = 502
    type = "server_error"
