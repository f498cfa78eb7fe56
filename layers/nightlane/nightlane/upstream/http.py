"""An upstream over HTTP, with aiohttp, which uses a fifth of httpx's CPU time per request."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp
from yarl import URL

from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.domain.routing import rewrite_model
from nightlane.settings import RequestSettings
from nightlane.upstream.credentials import Credentials
from nightlane.upstream.failures import is_disconnection, no_answer, redirected, shown
from nightlane.upstream.reading import BodyReader
from nightlane.upstream.sessions import Session, open_session
from nightlane.upstream.urls import join
from nightlane.upstream.waits import retry_after
from nightlane.upstream_settings import UpstreamSettings

CONNECT_SECONDS = 10
PROBE_SECONDS = 10
# A connection that was closed while it was idle is noticed within a round trip.
STALE_SECONDS = 1.0


class HttpUpstream:
    """`domain.inference.ports.Upstream` on one session."""

    def __init__(
        self,
        session: Session,
        upstream: UpstreamSettings,
        timeout_seconds: float,
        credentials: Credentials,
        reader: BodyReader,
        now: Callable[[], float],
    ) -> None:
        self._session = session.client
        self._sockets = session.sockets
        self._upstream = upstream
        self._limits = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS)
        self._credentials = credentials
        self._reader = reader
        self._now = now
        self._has_key = False
        self._key: str | None = None
        self._urls: dict[str, URL] = {}
        self._reading_key = asyncio.Lock()

    async def post(self, path: str, body: bytes) -> Answer:
        if self._upstream.rewrite:
            body = rewrite_model(body, self._upstream.rewrite)
        return await self._request("POST", path, body, self._limits)

    async def probe(self) -> Answer:
        return await self._request("GET", "/models", None, aiohttp.ClientTimeout(total=PROBE_SECONDS))

    async def _request(
        self, method: str, path: str, body: bytes | None, limits: aiohttp.ClientTimeout
    ) -> Answer:
        """Send a request. A key that is refused is read again, once for all requests it was refused for."""
        if not self._has_key:
            await self._read_key(None, first=True)
        key = self._key
        answer = await self._send(method, path, body, limits)
        if answer.status in (401, 403):
            await self._read_key(key)
            if self._key != key:
                answer = await self._send(method, path, body, limits)
        return answer

    async def _read_key(self, refused: str | None, *, first: bool = False) -> None:
        """Put the key into the session's headers: headers passed with each request cost a merge."""
        async with self._reading_key:
            if not self._has_key or (not first and self._key == refused):
                key = self._credentials.key
                try:
                    read = key.get if first else lambda: key.get_other_than(refused)
                    self._key = await asyncio.to_thread(read)
                except Exception as error:
                    reason = f"the upstream's key cannot be used: {error}"
                    raise NoAnswer(Kind.MISCONFIGURED, reason) from error
                self._session.headers.update(self._credentials.headers(self._key))
                self._has_key = True

    async def _signature(self, method: str, url: URL, body: bytes | None) -> Mapping[str, str] | None:
        signer = self._credentials.signer
        if signer is None:
            return None
        try:
            return await asyncio.to_thread(signer.sign, method, str(url), body)
        except Exception as error:
            raise NoAnswer(Kind.MISCONFIGURED, f"the request cannot be signed: {error}") from error

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        limits: aiohttp.ClientTimeout,
        *,
        retry_stale: bool = True,
    ) -> Answer:
        url = self._url(path)
        signature = await self._signature(method, url, body)
        opened, began, status = self._sockets.opened, monotonic(), 0
        try:
            async with self._session.request(
                method, url, data=body, headers=signature, allow_redirects=False, timeout=limits
            ) as response:
                status, headers = response.status, response.headers
                if 300 <= status < 400:
                    raise redirected(status, headers.get("location", ""), self._upstream.name)
                content = await self._reader.read(response)
                return Answer(
                    status,
                    content if status < 400 else self._without_key(content),
                    _request_id(headers.get("x-request-id")),
                    None if status < 400 else retry_after(status, headers, self._now()),
                    headers.get("content-type", ""),
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # If none was opened meanwhile, the request was sent on a connection that was kept alive.
            reused = self._sockets.opened == opened
            is_stale = reused and not status and monotonic() - began < STALE_SECONDS
            if not (retry_stale and is_stale and is_disconnection(error)):
                raise no_answer(error) from error
        return await self._send(method, path, body, limits, retry_stale=False)

    def _url(self, path: str) -> URL:
        """Raises: NoAnswer, if it is not a URL to aiohttp."""
        url = self._urls.get(path)
        if url is None:
            try:
                url = self._urls[path] = URL(join(self._upstream.url, path, self._upstream.query))
            except ValueError as error:
                raise no_answer(error) from error
        return url

    def _without_key(self, body: bytes) -> bytes:
        """Remove the key from an error: some servers repeat it, and users see the message."""
        return body.replace(self._key.encode(), b"***") if self._key else body


@asynccontextmanager
async def http_upstream(
    upstream: UpstreamSettings,
    settings: RequestSettings,
    credentials: Credentials,
    budget: ByteBudget,
    now: Callable[[], float],
) -> AsyncIterator[HttpUpstream]:
    """Open a session with the upstream; `now` returns seconds since 1970."""
    timeout = upstream.timeout_seconds or settings.upstream_timeout_seconds
    reader = BodyReader(budget, settings.max_answer_bytes)
    async with open_session(upstream) as session:
        yield HttpUpstream(session, upstream, timeout, credentials, reader, now)


def _request_id(value: str | None) -> str:
    """Return the upstream's request id as valid text, shortened if necessary; a new one if it sent none."""
    return shown(value) if value else f"req_{os.urandom(16).hex()}"
