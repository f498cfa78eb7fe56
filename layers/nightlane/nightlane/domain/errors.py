"""The one error hierarchy: what may be answered instead of what was asked for.

Source of types, codes and statuses: https://platform.openai.com/docs/guides/error-codes
"""

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """An answer that is an error; carries OpenAI's `type`, `code`, `param` and the HTTP status."""

    status = 400
    type = INVALID_REQUEST

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


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


class TooLarge(ApiError):
    """413: the body is above the limit of this way in."""

    status = 413


class ServerError(ApiError):
    """500: our fault."""

    status = 500
    type = "server_error"


class StorageFull(ApiError):
    """507: there is no room for what was asked; nothing of it was done.

    https://www.rfc-editor.org/rfc/rfc4918#section-11.5
    """

    status = 507
    type = "server_error"


class UpstreamError(ApiError):
    """502: the inference endpoint did not answer, or not with what was asked for."""

    status = 502
    type = "server_error"
