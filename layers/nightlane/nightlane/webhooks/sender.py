"""Sends webhooks over HTTP to addresses that anybody could reach, and to no others."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

import aiohttp

from nightlane.domain.addresses import is_public
from nightlane.domain.webhook_ports import Delivery, Receipt
from nightlane.webhooks.message import delivery_headers, event_body

# "Within a few seconds": https://platform.openai.com/docs/guides/webhooks
ATTEMPT_SECONDS = 10.0


class NotPublic(OSError):
    """The host has an address that webhooks must not go to."""


class HttpSender:
    """`domain.webhook_ports.Sender` over HTTP.

    Args:
        trust: what certificates are checked with; True for the system's authorities.
    """

    def __init__(self, trust: ssl.SSLContext | bool = True, seconds: float = ATTEMPT_SECONDS) -> None:
        self._trust = trust
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    def __call__(self, deliveries: Sequence[Delivery], *, allow_private: bool) -> Sequence[Receipt]:
        return asyncio.run(self._send_all(deliveries, allow_private))

    async def _send_all(self, deliveries: Sequence[Delivery], allow_private: bool) -> Sequence[Receipt]:
        connector = aiohttp.TCPConnector(
            limit=0,
            use_dns_cache=False,
            ssl=self._trust,
            # Each connection, to whatever the name was resolved to, is made with a socket from here.
            socket_factory=_any_socket if allow_private else _public_socket,
        )
        # `trust_env` is off, because a proxy could connect to any address.
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=self._timeout
        ) as session:
            return await asyncio.gather(*(_send(session, each, allow_private) for each in deliveries))


async def _send(session: aiohttp.ClientSession, delivery: Delivery, allow_private: bool) -> Receipt:
    url, body = delivery.endpoint.url, event_body(delivery.event)
    if not allow_private and not url.startswith("https://"):
        # The operator may have allowed it when the endpoint was created.
        return Receipt(None, "the URL is not an HTTPS URL")
    headers = delivery_headers(delivery, body)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            _hang_up(response)
            return Receipt(response.status)
    except TimeoutError:
        return Receipt(None, "it timed out")
    except aiohttp.ClientConnectorError as error:
        return Receipt(None, str(error.os_error))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Receipt(None, str(error) or type(error).__name__)


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Close the connection at once, if there is more to read: only the status matters."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()


def _public_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Open a socket to connect to this address, which was just resolved. Raises: NotPublic."""
    if not is_public(str(address[4][0])):
        raise NotPublic("its address is not public")
    return _any_socket(address)


def _any_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)
