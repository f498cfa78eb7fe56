"""Answers and the caller, as every route needs them."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from nightlane.domain.errors import ApiError
from nightlane.wire.multipart import Form, read_form

# The official clients parse an answer only if its type says that it is JSON.
JSON = "application/json"


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[str]:
    return Response(
        status_code=status,
        content_type=JSON,
        body=msgspec.json.encode(body).decode(),
        headers=dict(headers or {}),
    )


def tenant_of(event: APIGatewayProxyEvent) -> str:
    """Whom the authorizer let in."""
    return str(event.request_context.authorizer["tenant"])


def body_of(event: APIGatewayProxyEvent) -> bytes:
    """The body's bytes: API Gateway hands binary media types over in base64."""
    body = event.body or ""
    return base64.b64decode(body) if event.is_base64_encoded else body.encode()


def form_of(event: APIGatewayProxyEvent) -> Form:
    """The form in the body. Raises: BadRequest, if it is none or broken; StorageFull.

    A server without API Gateway's limits reads it while it arrives, files going to disk, and hands it over.
    """
    form: Form | ApiError | None = event.get("form")
    if isinstance(form, ApiError):
        raise form
    return form or read_form(event.headers.get("content-type", ""), body_of(event))
