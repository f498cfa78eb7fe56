"""The events that API Gateway makes of HTTP requests, in their documented shapes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from infra.gateway import BINARY_MEDIA_TYPE, STAGE

REGION = "us-east-1"
ACCOUNT = "123456789012"
API_ID = "nightlane"

Pairs = Sequence[tuple[str, str]]


def proxy_event(
    method: str, path: str, query: Pairs, headers: Pairs, body: bytes, authorizer: Mapping[str, str]
) -> dict[str, Any]:
    """A REST API's Lambda-proxy event; `path` is without the stage."""
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    binary = content_type.split(";")[0].strip().lower() == BINARY_MEDIA_TYPE
    text = base64.b64encode(body).decode() if binary else body.decode(errors="replace")
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": dict(headers) or None,
        "multiValueHeaders": _grouped(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query),
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "authorizer": dict(authorizer),
            "httpMethod": method,
            "identity": {"sourceIp": "127.0.0.1", "userAgent": dict(headers).get("User-Agent")},
            "path": f"/{STAGE}{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTimeEpoch": int(time.time() * 1000),
            "resourceId": "proxy",
            "resourcePath": "/{proxy+}",
            "stage": STAGE,
        },
        "body": text or None,
        "isBase64Encoded": binary,
    }


def _grouped(pairs: Pairs) -> dict[str, list[str]] | None:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped or None


def authorizer_event(token: str, method: str, path: str) -> dict[str, Any]:
    """What a TOKEN authorizer is asked."""
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{STAGE}/{method}{path}"
    return {"type": "TOKEN", "methodArn": arn, "authorizationToken": token}
