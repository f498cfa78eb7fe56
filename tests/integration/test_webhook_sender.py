"""Webhooks over real HTTP: what a receiver gets, and where none is ever sent."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web

from infra.home.serving import serving_application
from nightlane.domain.webhook import Event, EventType, WebhookEndpoint
from nightlane.domain.webhook_delivery import delivery_of
from nightlane.domain.webhook_ports import Receipt
from nightlane.webhooks.sender import HttpSender
from tests.certificates import make_certificate

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
EVENT = Event(id="evt_1", tenant="acme", type=EventType.EXPIRED, batch_id="batch_1", created_at=1)
ENDPOINT = WebhookEndpoint(
    id="we_1",
    tenant="acme",
    name="one",
    url="",
    event_types=tuple(EventType),
    created_at=1,
    updated_at=1,
    listed="1",
    secret=SECRET,
)


@dataclass
class Receiver:
    """An HTTP server that records requests."""

    url: str = ""
    status: int = 200
    location: str = ""
    seconds: float = 0
    requests: list[tuple[dict[str, str], bytes, str]] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, await request.read(), request.path_qs))
        await asyncio.sleep(self.seconds)
        return web.Response(status=self.status, headers={"Location": self.location} if self.location else {})


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.receive)
    with serving_application(app, context) as url:
        receiver.url = url.removesuffix("/v1")
        yield receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def send(url: str, *more: str, allow_private: bool = True, at: int = 1, **options: Any) -> list[Receipt]:
    deliveries = [delivery_of(EVENT, replace(ENDPOINT, url=each), at) for each in (url, *more)]
    return list(HttpSender(**options)(deliveries, allow_private=allow_private))


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Sets the addresses of a name, one list for each lookup; returns the names that were looked up."""
    looked_up: list[str] = []
    usual = socket.getaddrinfo

    def resolving(*answers: list[str]) -> list[str]:
        left = list(answers)

        def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if not str(host).endswith(".test"):
                return usual(host, port, *args, **options)
            looked_up.append(host)
            return [_info(each, int(port)) for each in (left.pop(0) if len(left) > 1 else left[0])]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return looked_up

    return resolving


def _info(address: str, port: int) -> Any:
    if ipaddress.ip_address(address).version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)


def test_a_receiver_gets_a_post_that_the_official_client_unwraps(receiver: Receiver) -> None:
    now = int(time.time())
    assert send(f"{receiver.url}/hooks?a=1", at=now) == [Receipt(200)]
    ((headers, body, path),) = receiver.requests
    client = openai.OpenAI(api_key="unused", base_url="http://127.0.0.1:9/v1", webhook_secret=SECRET)
    assert client.webhooks.unwrap(body, headers).type == "batch.expired"
    assert path == "/hooks?a=1"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "Nightlane/1.0 (webhooks)"
    assert "authorization" not in headers


@pytest.mark.parametrize("status", [204, 400, 410, 500])
def test_the_status_is_returned(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert send(receiver.url) == [Receipt(status)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.location = status, f"{receiver.url}/elsewhere"
    (receipt,) = send(receiver.url)
    assert receipt == Receipt(status)
    assert not receipt.is_success
    assert len(receiver.requests) == 1


def test_a_slow_receiver_fails_and_does_not_delay_another(receiver: Receiver) -> None:
    receiver.seconds = 30
    with receiving() as fast:
        assert send(receiver.url, fast.url, seconds=0.5) == [Receipt(None, "it timed out"), Receipt(200)]


def test_a_receiver_that_is_down_fails(receiver: Receiver) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        (receipt, other) = send(f"http://127.0.0.1:{unused.getsockname()[1]}/", receiver.url)
    assert receipt.status is None
    assert receipt.problem
    assert other.is_success


def test_an_answer_that_is_not_http_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        async def answer() -> list[Receipt]:
            sending = asyncio.to_thread(send, f"http://127.0.0.1:{server.getsockname()[1]}/")
            task = asyncio.create_task(sending)
            connection, _ = await asyncio.to_thread(server.accept)
            with connection:
                connection.sendall(b"hello\r\n\r\n")
                return await task

        (receipt,) = asyncio.run(answer())
    assert receipt.status is None


def test_proxies_of_the_environment_are_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(receiver.url) == [Receipt(200)]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "127.1"],
)
def test_nothing_is_sent_to_this_machine_however_it_is_written(tmp_path: Path, host: str) -> None:
    certificate = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=certificate.file)
    trust.check_hostname = False
    with receiving(certificate.server_context()) as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        (receipt,) = send(f"https://{host}:{port}/", allow_private=False, trust=trust)
        assert receipt.status is None
        assert receiver.requests == []
        # It was the check of the address that refused it, and not something else.
        assert send(f"https://127.0.0.1:{port}/", trust=trust) == [Receipt(200)]


@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "fd00:ec2::254", "100.64.0.1"])
def test_nothing_is_sent_to_a_name_with_a_private_address(
    resolve: Callable[..., list[str]], address: str
) -> None:
    resolve([address])
    assert send("https://hooks.test/", allow_private=False) == [Receipt(None, "its address is not public")]


def test_a_name_that_changes_its_address_is_looked_up_once_and_connected_to_what_was_checked(
    resolve: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []

    async def connect(_loop: Any, _sock: socket.socket, address: Any) -> None:
        connected.append(address[0])
        raise OSError("the network is not used by this test")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    looked_up = resolve(["8.8.8.8"], ["127.0.0.1"])
    (receipt,) = send("https://hooks.test/", allow_private=False)
    assert receipt.status is None
    assert looked_up == ["hooks.test"]
    assert connected == ["8.8.8.8"]


def test_only_the_public_addresses_of_a_name_are_connected_to(
    resolve: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []

    async def connect(_loop: Any, _sock: socket.socket, address: Any) -> None:
        connected.append(address[0])
        raise OSError("the network is not used by this test")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    resolve(["127.0.0.1", "1.1.1.1", "10.0.0.1"])
    send("https://hooks.test/", allow_private=False)
    assert set(connected) == {"1.1.1.1"}


def test_the_host_has_its_own_name_in_the_request_and_for_tls(
    tmp_path: Path, resolve: Callable[..., list[str]]
) -> None:
    certificate = make_certificate(tmp_path)
    asked: list[str | None] = []
    context = certificate.server_context()
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    trust = ssl.create_default_context(cafile=certificate.file)
    trust.check_hostname = False
    resolve(["127.0.0.1"])
    with receiving(context) as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        assert send(f"https://hooks.test:{port}/", trust=trust) == [Receipt(200)]
        assert asked == ["hooks.test"]
        assert receiver.requests[0][0]["host"] == f"hooks.test:{port}"


def test_a_certificate_of_another_name_or_authority_is_refused(
    tmp_path: Path, resolve: Callable[..., list[str]]
) -> None:
    certificate = make_certificate(tmp_path)
    resolve(["127.0.0.1"])
    with receiving(certificate.server_context()) as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        trust = ssl.create_default_context(cafile=certificate.file)
        assert send(f"https://hooks.test:{port}/", trust=trust)[0].status is None
        assert send(f"https://127.0.0.1:{port}/")[0].status is None
        assert receiver.requests == []


@pytest.mark.parametrize("url", ["http://hooks.test/", "ftp://hooks.test/", "https:///", "https://[/", "x"])
def test_a_url_that_is_not_https_or_not_valid_is_a_failure(
    resolve: Callable[..., list[str]], url: str
) -> None:
    looked_up = resolve(["8.8.8.8"])
    assert send(url, allow_private=False)[0].status is None
    assert looked_up == []
