"""What every route needs: the tenant and the body of a request, and JSON responses."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from nightlane.domain.errors import ApiError
from nightlane.wire.multipart import Form, read_form

# The official clients parse a response only if its content type is JSON.
JSON = "application/json"


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[str]:
    return Response(
        status_code=status,
        content_type=JSON,
        body=msgspec.json.encode(body).decode(),
        headers=dict(headers or {}),
    )


def tenant_of(event: APIGatewayProxyEvent) -> str:
    """Return the authenticated tenant."""
    return str(event.request_context.authorizer["tenant"])


def body_of(event: APIGatewayProxyEvent) -> bytes:
    """Return the bytes of the body. API Gateway encodes binary media types in base64."""
    body = event.body or ""
    return base64.b64decode(body) if event.is_base64_encoded else body.encode()


def has_json(event: APIGatewayProxyEvent) -> bool:
    """Whether the body is said to be JSON."""
    return event.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON


def absolute_url(event: APIGatewayProxyEvent, url: str) -> str:
    """Complete the URL of a path on this server with the address that the client used."""
    if not url.startswith("/"):
        return url
    return f"{event.headers.get('x-forwarded-proto', 'http')}://{event.headers['host']}{url}"


def form_of(event: APIGatewayProxyEvent) -> Form:
    """Return the form in the body. Raises: BadRequest, if it is not a form or malformed; StorageFull.

    A server without API Gateway's limits parses the form while it arrives, writes files to disk and passes it
    in the event.
    """
    form: Form | ApiError | None = event.get("form")
    if isinstance(form, ApiError):
        raise form
    return form or read_form(event.headers.get("content-type", ""), body_of(event))
