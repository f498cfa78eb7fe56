"""Opens the HTTP session of an upstream."""

import socket
from asyncio import sslproto
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict

from nightlane.api_settings import KIB
from nightlane.upstream.reading import OFFERED_ENCODINGS
from nightlane.upstream.urls import proxy_of
from nightlane.upstream_settings import UpstreamSettings, trust_in

# Load balancers and AWS's NAT drop a connection that is idle for 350 s, and a long generation may be.
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
KEEPALIVE_SECONDS = 60
# asyncio keeps a buffer of this size for each TLS connection; by default it has 256 KiB.
sslproto.SSLProtocol.max_size = 64 * KIB
# Some gateways put whole policies into headers; aiohttp's default limit is 8 KiB.
MAX_HEADER_BYTES = 64 * KIB
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


@dataclass(frozen=True, slots=True)
class Session:
    """A session, and the sockets that it has opened."""

    client: aiohttp.ClientSession
    sockets: Sockets


@asynccontextmanager
async def open_session(upstream: UpstreamSettings) -> AsyncIterator[Session]:
    """Open a session with the upstream's headers, CA and proxy."""
    sockets, headers = Sockets(), CIMultiDict(HEADERS)
    headers.update(upstream.headers)
    async with aiohttp.ClientSession(
        # The worker's pool limits the requests; a second limit here would only queue them.
        connector=aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=60,
            socket_factory=sockets,
            ssl=trust_in(upstream.ca) if upstream.ca else True,
        ),
        # aiohttp's own `trust_env` would also read passwords from ~/.netrc, for every request.
        proxy=proxy_of(upstream.url),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    ) as session:
        yield Session(session, sockets)
