"""HTTP requests as API Gateway passes them to Lambda, in the documented format.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ..gateway import BINARY_MEDIA_TYPE, STAGE

REGION = "us-east-1"
ACCOUNT = "123456789012"
API_ID = "nightlane"
# The identity of a caller without AWS credentials or a client certificate.
ANONYMOUS = dict.fromkeys(
    "accessKey accountId caller cognitoAuthenticationProvider cognitoAuthenticationType cognitoIdentityId "
    "cognitoIdentityPoolId principalOrgId user userArn".split()
)

Pairs = Sequence[tuple[str, str]]


def proxy_event(
    method: str,
    path: str,
    query: Pairs,
    headers: Pairs,
    body: bytes,
    authorizer: Mapping[str, str],
    form: object = None,
) -> dict[str, Any]:
    """A REST API's Lambda-proxy event.

    Args:
        path: without the stage, percent-encoded as the client wrote it.
        authorizer: the authorizer's context, and its `principalId`.
        form: a body that has already been parsed, instead of `body`.
    """
    headers = [(name, _text(value)) for name, value in headers]
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    binary = content_type.split(";")[0].strip().lower() == BINARY_MEDIA_TYPE
    text = base64.b64encode(body).decode() if binary else body.decode(errors="replace")
    now = time.time()
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
            # 0 milliseconds, as when API Gateway uses a cached result of the authorizer.
            "authorizer": {**authorizer, "integrationLatency": 0},
            "domainName": f"{API_ID}.execute-api.{REGION}.amazonaws.com",
            "domainPrefix": API_ID,
            "extendedRequestId": base64.b64encode(uuid.uuid4().bytes[:11]).decode(),
            "httpMethod": method,
            "identity": ANONYMOUS | {"sourceIp": "127.0.0.1", "userAgent": dict(headers).get("User-Agent")},
            "path": f"/{STAGE}{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": "proxy",
            "resourcePath": "/{proxy+}",
            "stage": STAGE,
        },
        "body": text or None,
        "isBase64Encoded": binary,
    } | ({} if form is None else {"form": form})


def _text(value: str) -> str:
    """Read a header that is not UTF-8 as ISO-8859-1: an event is JSON, which cannot hold other bytes.

    https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="surrogateescape").decode("iso-8859-1")
    return value


def _grouped(pairs: Pairs) -> dict[str, list[str]] | None:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped or None


def authorizer_event(token: str, method: str, path: str) -> dict[str, Any]:
    """The event of a TOKEN authorizer."""
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{STAGE}/{method}{path}"
    return {"type": "TOKEN", "methodArn": arn, "authorizationToken": _text(token)}
