"""The HTTP front end: does what API Gateway's REST API does between a client and the functions."""

import asyncio
import base64
import fnmatch
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from nightlane.api_settings import MIB
from nightlane.domain.errors import ApiError
from nightlane.domain.received import Received
from nightlane.wire.headers import PREFLIGHT_HEADERS, content_disposition, cors_headers
from nightlane.wire.multipart import Form, FormReader

from ..gateway import (
    ACCESS_DENIED,
    AUTHORIZER_CACHE_SECONDS,
    BINARY_MEDIA_TYPE,
    DEFAULT_5XX,
    FAILURE,
    FORM_OVERHEAD_BYTES,
    NOT_FOUND,
    STAGE,
    TIMEOUT,
    TOO_LARGE,
    UNAUTHORIZED,
    GatewayResponse,
    is_public,
)
from .events import authorizer_event, proxy_event
from .http_server import (
    MESSAGE,
    NOT_IMPLEMENTED,
    envelope,
    in_envelope,
    is_in_known_encoding,
    meet_expectation,
    unreadable,
)

log = logging.getLogger("nightlane.front")
# For a body that is held in memory, the same as API Gateway's limit:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY_BYTES = 10 * MIB
# A body whose chunks, length or compression are not what its headers say.
UNREADABLE = (web.RequestPayloadError, HttpProcessingError)
NewFile = Callable[[], Received]
Spool = Callable[[], AbstractContextManager[NewFile]]


class Refused(Exception):
    """The gateway returns this response itself, without calling the function."""

    def __init__(self, response: GatewayResponse, **variables: str) -> None:
        super().__init__(response.kind)
        self.response = response
        self.variables = variables


class FunctionFailed(Exception):
    """The handler raised, or its process ended."""


class FunctionTimedOut(Exception):
    """The handler did not answer within the function's timeout."""


class Function(Protocol):
    """A function that the gateway calls."""

    async def call(self, event: dict[str, Any]) -> Any:
        """Return the function's response. Raises: FunctionFailed, FunctionTimedOut."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The authorizer's decision on a key, and how long it may be cached."""

    allows: bool
    context: dict[str, str]
    valid_until: float


class Front:
    """Routes all requests below the stage to `api`, once `authorize` has allowed them.

    Args:
        spool: makes the files that forms are written to as they arrive. If None, forms are passed to `api`
            in base64, as API Gateway does.
        cache_seconds: how long a decision of `authorize` is cached.
        cors_origin: whose pages may use the API in a browser; see the setting.
    """

    def __init__(
        self,
        api: Function,
        authorize: Function,
        max_upload_bytes: int,
        spool: Spool | None = None,
        cache_seconds: float = AUTHORIZER_CACHE_SECONDS,
        cors_origin: str | None = None,
    ) -> None:
        self._api = api
        self._authorize = authorize
        self._spool = spool
        self._cache_seconds = cache_seconds
        self._cors_origin = cors_origin
        self._max_body_bytes = max_upload_bytes + FORM_OVERHEAD_BYTES
        self._policies: dict[str, Policy] = {}

    def application(self, redirects: Mapping[str, str] = MappingProxyType({})) -> web.Application:
        """Return the application, with redirects by path for what is outside the stage."""
        application = web.Application(client_max_size=0, middlewares=[in_envelope])
        application.on_response_prepare.append(self._allow_origin)
        for path, target in redirects.items():
            application.router.add_get(path, _redirect_to(target))
        # Not `.*`, because a dot matches no newline, which a path may contain percent-encoded.
        application.router.add_route("*", r"/{path:[\s\S]*}", self.serve, expect_handler=meet_expectation)
        return application

    async def _allow_origin(self, _: web.Request, response: web.StreamResponse) -> None:
        for name, value in cors_headers(self._cors_origin).items():
            response.headers.setdefault(name, value)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS" and self._cors_origin:
            return web.Response(status=204, headers=PREFLIGHT_HEADERS)
        if not is_in_known_encoding(request):
            return envelope(NOT_IMPLEMENTED, {MESSAGE: "The only supported Transfer-Encoding is 'chunked'."})
        try:
            return await self._serve_or_refuse(request)
        except UNREADABLE as error:
            return unreadable(error)

    async def _serve_or_refuse(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._serve(request)
        except Refused as refused:
            await _drain(request)
            variables = {"httpMethod": request.method, "path": request.path} | refused.variables
            return envelope(refused.response, variables)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        # The raw path, because percent-encoding must not be changed.
        stage, _, rest = request.raw_path.split("?")[0].removeprefix("/").partition("/")
        path = f"/{rest}"
        needs_no_key = is_public(path)
        if stage != STAGE or not rest or (needs_no_key and request.method != "GET"):
            raise Refused(NOT_FOUND)
        authorizer = {} if needs_no_key else await self._authorized(request, path)
        if self._spool is None or not _is_form(request):
            limit = min(self._max_body_bytes, MAX_BODY_BYTES) if self._spool else self._max_body_bytes
            body = b"".join([chunk async for chunk in _chunks(request, limit)])
            return await self._call(request, path, body, authorizer)
        with self._spool() as new_file:
            form = await self._form(request, new_file)
            return await self._call(request, path, b"", authorizer, form)

    async def _call(
        self,
        request: web.Request,
        path: str,
        body: bytes,
        authorizer: dict[str, str],
        form: Form | ApiError | None = None,
    ) -> web.StreamResponse:
        query, headers = list(request.query.items()), list(request.headers.items())
        event = await asyncio.to_thread(
            proxy_event, request.method, path, query, headers, body, authorizer, form
        )
        del body
        try:
            answer = await self._api.call(event)
        except FunctionTimedOut as error:
            raise Refused(TIMEOUT) from error
        except FunctionFailed as error:
            raise Refused(FAILURE) from error
        return _response(answer, request.headers.get("Accept", ""))

    async def _form(self, request: web.Request, new_file: NewFile) -> Form | ApiError:
        """The form, or what is wrong with it: the handler returns that error."""
        try:
            reader = FormReader(request.headers["Content-Type"], new_file)
            async for chunk in _chunks(request, self._max_body_bytes):
                await asyncio.to_thread(reader.feed, chunk)
            return reader.close()
        except ApiError as error:
            await _drain(request)
            return error
        except OSError as error:
            log.exception("cannot store an upload")
            raise Refused(DEFAULT_5XX) from error

    async def _authorized(self, request: web.Request, path: str) -> dict[str, str]:
        token = request.headers.get("Authorization")
        if not token:
            raise Refused(UNAUTHORIZED)
        policy = self._policies.get(token)
        if policy is None or policy.valid_until < time.monotonic():
            policy = await self._get_policy(authorizer_event(token, request.method, path))
            if self._cache_seconds:
                self._policies[token] = policy
        if not policy.allows:
            raise Refused(
                ACCESS_DENIED, **{f"authorizer.{name}": value for name, value in policy.context.items()}
            )
        return policy.context

    async def _get_policy(self, event: dict[str, Any]) -> Policy:
        try:
            answer = await self._authorize.call(event)
        except (FunctionFailed, FunctionTimedOut) as error:
            if str(error) == "Unauthorized":
                raise Refused(UNAUTHORIZED) from error
            raise Refused(FAILURE) from error
        (statement,) = answer["policyDocument"]["Statement"]
        allows = statement["Effect"] == "Allow" and fnmatch.fnmatch(event["methodArn"], statement["Resource"])
        # A denial is cached too, as API Gateway does, but a new key on a laptop should work soon.
        seconds = self._cache_seconds if allows else min(1, self._cache_seconds)
        context = answer.get("context", {}) | {"principalId": answer["principalId"]}
        return Policy(allows, context, time.monotonic() + seconds)


def _redirect_to(target: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def redirect(_: web.Request) -> web.Response:
        raise web.HTTPFound(target)

    return redirect


def _is_form(request: web.Request) -> bool:
    return request.content_type == BINARY_MEDIA_TYPE


async def _chunks(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises: Refused, if it is larger than `max_bytes`."""
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise Refused(TOO_LARGE)
        yield chunk


async def _drain(request: web.Request) -> None:
    """Read the rest of the body: a client that is still sending would not see the response."""
    async for _ in request.content.iter_any():
        pass


def _file(location: str) -> web.FileResponse:
    """The content of a local file of any size, with support for range requests."""
    parts = urlsplit(location)
    (filename,) = parse_qs(parts.query)["filename"]
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": content_disposition(filename),
    }
    return web.FileResponse(unquote(parts.path), headers=headers)


def _response(answer: dict[str, Any], accepted: str) -> web.StreamResponse:
    if "statusCode" not in answer:
        raise Refused(FAILURE)
    locations = (answer.get("multiValueHeaders") or {}).get("Location", [""])
    if locations[0].startswith("file:"):
        return _file(locations[0])
    body = answer.get("body") or ""
    # API Gateway decodes base64 only if the first type that the client accepts is binary.
    binary = answer.get("isBase64Encoded") and accepted.split(",")[0].strip() == BINARY_MEDIA_TYPE
    response = web.Response(
        status=answer["statusCode"],
        body=base64.b64decode(body) if binary else body.encode(),
    )
    response.headers.popall("Content-Type", None)
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        for value in values:
            response.headers.add(name, value)
    for name, value in (answer.get("headers") or {}).items():
        response.headers[name] = str(value)
    return response
