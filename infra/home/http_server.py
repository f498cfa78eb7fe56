"""The HTTP server of the front: whatever it refuses itself is in OpenAI's envelope, too.

That is a request that is not HTTP, a header that is too long, a body that is not what its headers say, or an
expectation that nothing meets.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.typedefs import Handler

from ..gateway import DEFAULT_4XX, DEFAULT_5XX, NOT_FOUND, GatewayResponse

log = logging.getLogger("nightlane.front")
BAD_REQUEST = replace(DEFAULT_4XX, status=400)
EXPECTATION_FAILED = replace(DEFAULT_4XX, status=417)
HEADERS_TOO_LONG = replace(DEFAULT_4XX, status=431)
NOT_IMPLEMENTED = replace(DEFAULT_4XX, status=501)
MESSAGE = "error.message"


def envelope(response: GatewayResponse, variables: Mapping[str, str]) -> web.Response:
    """Return an error of the front as an HTTP response."""
    return web.Response(
        status=response.status,
        text=response.render(variables),
        content_type="application/json",
        headers={"x-request-id": f"req_{uuid.uuid4().hex}"} | response.headers,
    )


def unreadable(error: BaseException | None) -> web.Response:
    """Return the response to a request that cannot be read; the connection is closed after it."""
    if isinstance(error, LineTooLong):
        response = envelope(HEADERS_TOO_LONG, {MESSAGE: "The URL or a header of the request is too long."})
    else:
        reason = (
            error.message.partition("\n")[0].strip(" :") if isinstance(error, HttpProcessingError) else ""
        )
        message = f"The request is not valid HTTP: {reason}" if reason else "The request is not valid HTTP."
        response = envelope(BAD_REQUEST, {MESSAGE: message})
    response.force_close()
    return response


def is_in_known_encoding(request: web.BaseRequest) -> bool:
    """Whether the body can be read. https://www.rfc-editor.org/rfc/rfc9112#section-6.1"""
    return request.headers.get("Transfer-Encoding", "chunked").strip().lower() == "chunked"


@web.middleware
async def in_envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the errors of aiohttp's router in the envelope."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return envelope(NOT_FOUND, {"httpMethod": request.method, "path": request.path})
    except web.HTTPClientError as error:
        return envelope(replace(DEFAULT_4XX, status=error.status), {MESSAGE: f"{error.reason}."})


async def meet_expectation(request: web.Request) -> web.Response | None:
    """Ask for the body of a request with `Expect: 100-continue`; refuse any other expectation.

    https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
    """
    if request.version < HttpVersion11:
        return None
    if request.headers["Expect"].lower() != "100-continue":
        response = envelope(EXPECTATION_FAILED, {MESSAGE: "Only 'Expect: 100-continue' is supported."})
        # Its body may still come, or not.
        response.force_close()
        return response
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # As in aiohttp's own handler: the response itself has not begun.
    request.writer.output_size = 0
    return None


class EnvelopeRunner(web.AppRunner):
    """Runs an application on a server whose own errors are in the envelope."""

    async def _make_server(self) -> web.Server:
        # aiohttp has no public way to replace its responses to requests that it cannot parse.
        server = await super()._make_server()
        return _Server(server.request_handler, request_factory=server.request_factory)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):
            # The client is gone; aiohttp expects this error then.
            raise exc
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun, so it cannot become an error")
        if status == BAD_REQUEST.status:
            return unreadable(exc)
        log.error("cannot respond to %s %s", request.method, request.path, exc_info=exc)
        response = envelope(DEFAULT_5XX, {})
        response.force_close()
        return response
