"""API Gateway's own error responses, in OpenAI's envelope; used by the CDK app and by the home's HTTP front.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightlane.domain.large_files import LARGE_FILE_WAYS

STAGE = "v1"
BINARY_MEDIA_TYPE = "multipart/form-data"
AUTHORIZER_CACHE_SECONDS = 300
# Anyone may GET these: they are the same for everyone, and a browser's address bar sends no key.
PUBLIC_PATHS = ("/openapi.json", "/docs", "/console", "/console/{file}")
_PUBLIC_PATH = re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(each)) for each in PUBLIC_PATHS))
# What a multipart upload may have besides the file: headers and the other fields.
FORM_OVERHEAD_BYTES = 64 * 1024


def is_public(path: str) -> bool:
    """Whether a path below the stage is one of `PUBLIC_PATHS`, where `{name}` stands for one segment."""
    return _PUBLIC_PATH.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """One response type; `message` may contain API Gateway's `$context` variables."""

    kind: str
    status: int
    message: str
    code: str | None = None
    type: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def template(self) -> str:
        """The body template, with all four keys of the envelope."""
        error = {"message": self.message, "type": self.type, "param": None, "code": self.code}
        return json.dumps({"error": error})

    def render(self, variables: Mapping[str, str]) -> str:
        """The body with the `$context` variables filled in, as API Gateway does it."""
        body = self.template
        for name, value in variables.items():
            body = body.replace(f"$context.{name}", json.dumps(value)[1:-1])
        return body


UNAUTHORIZED = GatewayResponse("UNAUTHORIZED", 401, "Missing bearer authentication in header")
# The authorizer denies an unknown key and gives the reason; OpenAI returns 401 for it.
ACCESS_DENIED = GatewayResponse("ACCESS_DENIED", 401, "$context.authorizer.message", code="invalid_api_key")
NOT_FOUND = GatewayResponse(
    "MISSING_AUTHENTICATION_TOKEN", 404, "Invalid URL ($context.httpMethod $context.path)"
)
TOO_LARGE = GatewayResponse(
    "REQUEST_TOO_LARGE",
    413,
    f"The request body is larger than one request to this server may be. {LARGE_FILE_WAYS}",
)
THROTTLED = GatewayResponse(
    "THROTTLED",
    429,
    "Rate limit reached for requests.",
    code="rate_limit_exceeded",
    headers={"Retry-After": "5"},
)
TIMEOUT = GatewayResponse(
    "INTEGRATION_TIMEOUT", 504, "The server did not answer in time.", type="server_error"
)
FAILURE = GatewayResponse(
    "INTEGRATION_FAILURE",
    502,
    "The server had an error while processing your request.",
    type="server_error",
)
DEFAULT_4XX = GatewayResponse("DEFAULT_4XX", 400, "$context.error.message")
DEFAULT_5XX = GatewayResponse("DEFAULT_5XX", 500, "The server had an error.", type="server_error")

GATEWAY_RESPONSES = (
    UNAUTHORIZED,
    ACCESS_DENIED,
    NOT_FOUND,
    TOO_LARGE,
    THROTTLED,
    TIMEOUT,
    FAILURE,
    DEFAULT_4XX,
    DEFAULT_5XX,
)
