"""The upstream over HTTP, with aiohttp, which uses a fifth of httpx's CPU time per request."""

import asyncio
import os
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.settings import KIB, RequestSettings
from nightlane.upstream.key import Key, bearer
from nightlane.upstream.urls import join
from nightlane.upstream.waits import retry_after

CONNECT_SECONDS = 10
PROBE_SECONDS = 10
# Load balancers and AWS's NAT drop a connection that is idle for 350 s, and a long generation may be.
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
KEEPALIVE_SECONDS = 60
# Some gateways put whole policies into headers; aiohttp's default limit is 8 KiB.
MAX_HEADER_BYTES = 64 * KIB
# Answers up to this size are read without reserving room in the budget.
SMALL_BYTES = 256 * KIB
MAX_SHOWN_CHARACTERS = 200
# A connection that was closed while it was idle is noticed within a round trip.
STALE_SECONDS = 1.0
# What aiohttp reads without another dependency.
OFFERED_ENCODINGS = "gzip, deflate"
# Another name of gzip, which aiohttp does not know: https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
X_GZIP = "x-gzip"
NOT_OFFERED = f"was not offered: Accept-Encoding is '{OFFERED_ENCODINGS}'"
READ_ENCODINGS = frozenset({"gzip", "deflate", "identity", "", X_GZIP})
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": OFFERED_ENCODINGS,
    "User-Agent": "nightlane",
}


class Sockets:
    """Opens the connections, kept alive while they wait for an answer, and counts them."""

    def __init__(self) -> None:
        self.opened = 0

    def __call__(self, address: aiohttp.AddrInfoType) -> socket.socket:
        self.opened += 1
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # The first name is Linux's, the second macOS's.
        option = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, KEEPALIVE_SECONDS)
        return made


class HttpUpstream:
    """`domain.inference.ports.Upstream` on one session."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        sockets: Sockets,
        settings: RequestSettings,
        key: Key,
        budget: ByteBudget,
        now: Callable[[], float],
    ) -> None:
        self._session = session
        self._sockets = sockets
        self._base_url = settings.upstream_url
        self._limits = aiohttp.ClientTimeout(
            total=settings.upstream_timeout_seconds, sock_connect=CONNECT_SECONDS
        )
        self._max_bytes = settings.max_answer_bytes
        self._key = key
        self._budget = budget
        self._now = now
        self._has_key = False
        self._secret: str | None = None
        self._urls: dict[str, URL] = {}
        self._reading_key = asyncio.Lock()

    async def post(self, path: str, body: bytes) -> Answer:
        return await self._request("POST", path, body, self._limits)

    async def probe(self) -> Answer:
        return await self._request("GET", "/models", None, aiohttp.ClientTimeout(total=PROBE_SECONDS))

    async def _request(
        self, method: str, path: str, body: bytes | None, limits: aiohttp.ClientTimeout
    ) -> Answer:
        """Send a request. A key that is refused is read again, once for all requests it was refused for."""
        if not self._has_key:
            await self._read_key(None, first=True)
        key = self._secret
        answer = await self._send(method, path, body, limits)
        if answer.status in (401, 403):
            await self._read_key(key)
            if self._secret != key:
                answer = await self._send(method, path, body, limits)
        return answer

    async def _read_key(self, refused: str | None, *, first: bool = False) -> None:
        """Put the key into the session's headers: headers passed with each request cost a merge."""
        async with self._reading_key:
            if not self._has_key or (not first and self._secret == refused):
                try:
                    read = self._key.get if first else lambda: self._key.get_other_than(refused)
                    self._secret = await asyncio.to_thread(read)
                except Exception as error:
                    raise NoAnswer(
                        Kind.MISCONFIGURED, f"the upstream's key cannot be used: {error}"
                    ) from error
                self._session.headers.pop("Authorization", None)
                self._session.headers.update(bearer(self._secret))
                self._has_key = True

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        limits: aiohttp.ClientTimeout,
        *,
        retry_stale: bool = True,
    ) -> Answer:
        opened, began, status = self._sockets.opened, monotonic(), 0
        try:
            async with self._session.request(
                method, self._url(path), data=body, allow_redirects=False, timeout=limits
            ) as response:
                status, headers = response.status, response.headers
                if 300 <= status < 400:
                    raise _redirected(status, headers.get("location", ""))
                return Answer(
                    status,
                    await self._read(response) if status < 400 else await self._read_error(response),
                    _request_id(headers.get("x-request-id")),
                    None if status < 400 else retry_after(status, headers, self._now()),
                    headers.get("content-type", ""),
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # If none was opened meanwhile, the request was sent on a connection that was kept alive.
            reused = self._sockets.opened == opened
            is_stale = reused and not status and monotonic() - began < STALE_SECONDS
            if not (retry_stale and is_stale and _is_disconnection(error)):
                raise _no_answer(error) from error
        return await self._send(method, path, body, limits, retry_stale=False)

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(join(self._base_url, path))
        return url

    async def _read_error(self, response: aiohttp.ClientResponse) -> bytes:
        """Remove the key from an error: some servers repeat it, and users see the message."""
        body, key = await self._read(response), self._secret
        return body.replace(key.encode(), b"***") if key else body

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the body, after waiting for room in the budget if it is large. Raises: NoAnswer: too large."""
        length = response.content_length
        if length is not None and length > self._max_bytes:
            raise self._too_large(response)
        encoding = response.headers.get("content-encoding")
        if encoding is not None:
            # This is the compressed length.
            length = None
            encoding = encoding.strip().lower()
            if encoding not in READ_ENCODINGS:
                response.close()
                raise NoAnswer(Kind.UNREADABLE, f"its content-encoding '{encoding}' {NOT_OFFERED}")
        if length is not None and length <= SMALL_BYTES:
            return await response.read()
        chunks, size, reserved = [], 0, 0
        try:
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large(response)
                if size > SMALL_BYTES and not reserved:
                    wanted = self._max_bytes if length is None else max(length, size)
                    await self._budget.reserve(wanted)
                    reserved = wanted
            body = b"".join(chunks)
            return self._decompressed(response, body) if encoding == X_GZIP else body
        finally:
            self._budget.release(reserved)

    def _decompressed(self, response: aiohttp.ClientResponse, body: bytes) -> bytes:
        try:
            decompressed = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16).decompress(body, self._max_bytes + 1)
        except zlib.error as error:
            raise NoAnswer(Kind.UNREADABLE, f"its content-encoding is {X_GZIP}: {error}") from error
        if len(decompressed) > self._max_bytes:
            raise self._too_large(response)
        return decompressed

    def _too_large(self, response: aiohttp.ClientResponse) -> NoAnswer:
        # The rest of it is not needed.
        response.close()
        return NoAnswer(Kind.TOO_LARGE, f"The limit is {self._max_bytes:,} bytes (max_answer_bytes).")


@asynccontextmanager
async def http_upstream(
    settings: RequestSettings, key: Key, budget: ByteBudget, now: Callable[[], float]
) -> AsyncIterator[HttpUpstream]:
    """Open a session with the upstream; `now` returns seconds since 1970."""
    sockets = Sockets()
    async with aiohttp.ClientSession(
        # The worker's pool limits the requests; a second limit here would only queue them.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60, socket_factory=sockets),
        headers=HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    ) as session:
        yield HttpUpstream(session, sockets, settings, key, budget, now)


def _is_disconnection(error: Exception) -> bool:
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not isinstance(
        error, aiohttp.ClientConnectorError
    )


def _no_answer(error: Exception) -> NoAnswer:
    reason = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return NoAnswer(Kind.UNREACHABLE, reason)
        case TimeoutError():
            return NoAnswer(Kind.TIMEOUT, reason if str(error) else "no answer in time")
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, ContentEncodingError):
            return NoAnswer(Kind.UNREADABLE, f"its body is not in its content-encoding: {reason}")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return NoAnswer(Kind.DISCONNECTED, reason)
        case aiohttp.ClientConnectorError() | aiohttp.ClientSSLError():
            return NoAnswer(Kind.UNREACHABLE, reason)
        case aiohttp.ClientResponseError() if "content-encoding" in error.message:
            return NoAnswer(Kind.UNREADABLE, f"its content-encoding {NOT_OFFERED}")
        case aiohttp.ClientResponseError():
            return NoAnswer(Kind.UNREADABLE, f"not HTTP: {reason}")
        case ValueError():
            return NoAnswer(Kind.MISCONFIGURED, reason)
        case aiohttp.ClientOSError():
            return NoAnswer(Kind.DISCONNECTED, reason)
    return NoAnswer(Kind.UNREACHABLE, reason)


def _redirected(status: int, location: str) -> NoAnswer:
    """Do not follow: the key would be sent to another host, or the POST become a GET."""
    where = _shown(location.partition("?")[0]) or "nowhere"
    reason = f"{status}: it redirects to {where}, and redirects are not followed: correct upstream_url"
    return NoAnswer(Kind.REDIRECT, reason)


def _request_id(value: str | None) -> str:
    """Return the upstream's request id as valid text, shortened if necessary; a new one if it sent none."""
    if not value:
        return f"req_{os.urandom(16).hex()}"
    return _shown(value)


def _shown(header: str) -> str:
    shown = header[:MAX_SHOWN_CHARACTERS]
    return shown if shown.isascii() else shown.encode(errors="replace").decode()
