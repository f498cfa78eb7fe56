"""Requests and responses of the API, in API Gateway's format.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from nightlane.domain.errors import ApiError

if TYPE_CHECKING:
    from nightlane.wire.multipart import Form

# The official clients parse a response only if its content type is JSON.
JSON = "application/json"


class Request(msgspec.Struct, frozen=True):
    """A request, as a route reads it."""

    event: Mapping[str, Any]
    headers: Mapping[str, str]
    """By name in lower case; of several values the last."""

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Request":
        return cls(event, {name.lower(): value for name, value in (event.get("headers") or {}).items()})

    @property
    def method(self) -> str:
        return str(self.event["httpMethod"])

    @property
    def path(self) -> str:
        """Without the stage, percent-encoded as the client wrote it."""
        # v1 is the name of the stage; behind a custom domain it can still be part of the path.
        path = str(self.event["path"])
        return path.removeprefix("/v1") if path.startswith("/v1/") else path

    @property
    def shown_path(self) -> str:
        """As the client wrote it, with the stage."""
        return str(self.context["path"])

    @property
    def context(self) -> Mapping[str, Any]:
        """What API Gateway adds to the request."""
        context: Mapping[str, Any] = self.event["requestContext"]
        return context

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters; of several values the last."""
        return self.event.get("queryStringParameters") or {}

    @property
    def authorizer(self) -> Mapping[str, Any]:
        """What the authorizer found."""
        return self.context.get("authorizer") or {}

    @property
    def tenant(self) -> str:
        """The authenticated tenant."""
        return str(self.authorizer["tenant"])

    @property
    def body(self) -> bytes:
        """API Gateway encodes binary media types in base64."""
        body = self.event.get("body") or ""
        return base64.b64decode(body) if self.event.get("isBase64Encoded") else body.encode()

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def has_json(self) -> bool:
        """Whether the body is said to be JSON."""
        return self.content_type.partition(";")[0].strip().lower() == JSON

    def form(self) -> "Form":
        """Return the form in the body. Raises: BadRequest, if it is not a form or malformed; StorageFull.

        A server without API Gateway's limits parses the form while it arrives, writes files to disk and
        passes it in the event.
        """
        # Imported here, because the parser takes longer than all routes, and most cold starts need none.
        from nightlane.wire.multipart import read_form

        form: Form | ApiError | None = self.event.get("form")
        if isinstance(form, ApiError):
            raise form
        return form or read_form(self.content_type, self.body)

    def absolute_url(self, url: str) -> str:
        """Complete the URL of a path on this server with the address that the client used."""
        if not url.startswith("/"):
            return url
        return f"{self.headers.get('x-forwarded-proto', 'http')}://{self.headers['host']}{url}"


class Response(msgspec.Struct, frozen=True):
    """What a route returns."""

    status: int
    content_type: str | None = None
    body: str | None = None
    headers: Mapping[str, str] | None = None

    def to_event(self, more_headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the response as API Gateway takes it, with these headers, too."""
        own = {"Content-Type": self.content_type} if self.content_type else {}
        headers = {**own, **(self.headers or {}), **more_headers}
        return {
            "statusCode": self.status,
            "body": self.body,
            "isBase64Encoded": False,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
        }


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, JSON, msgspec.json.encode(body).decode(), headers)
