"""How a request reaches its upstream: credentials, headers, query, name of the model, CA and proxy."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials

from nightlane.aws.clients import Clients
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.outcomes import judge
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.settings import Settings
from nightlane.upstream.sessions import Sockets
from nightlane.worker_wiring import connections_to
from tests.certificates import Certificate, make_certificate
from tests.upstream import only

BODY = b'{"model":"fast","messages":[{"role":"user","content":"h\\u00e9  model"}]}'
AWS = AwsCredentials("AKIAEXAMPLE", "secret-of-aws", "session-of-the-role")
OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{"id": "a1"}'


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Server:
    """Records requests, and gives each the same answer."""

    answer: bytes = OK
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(line, headers, body))
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def started(self, certificate: Certificate | None = None) -> AsyncIterator[None]:
        context = certificate.server_context() if certificate else None
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield


def send(
    server: Server,
    url: str = "http://127.0.0.1:{}/v1",
    certificate: Certificate | None = None,
    **upstream: Any,
) -> Answer:
    """Post a request to an upstream with these settings."""

    async def main() -> Answer:
        async with server.started(certificate):
            settings = Settings(upstreams=only(url.format(server.port), **upstream))
            session = boto3.Session("AKIAEXAMPLE", "secret-of-aws", "session-of-the-role", "us-east-1")
            connections = connections_to(settings, Clients(session), lambda: 0.0)
            async with connections.connect("default", ByteBudget(10**9)) as connection:
                return await connection.post("/chat/completions", BODY)

    return asyncio.run(main())


def sent(**upstream: Any) -> Request:
    """The request that an upstream with these settings gets."""
    server = Server()
    assert send(server, **upstream).status == 200
    (request,) = server.requests
    return request


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_an_upstream_without_credentials_gets_the_body_as_it_was_written() -> None:
    request = sent()
    assert (request.line, request.body) == ("POST /v1/chat/completions HTTP/1.1", BODY)
    assert "authorization" not in request.headers
    assert request.headers["accept-encoding"] == "gzip, deflate"


def test_a_key_is_sent_as_a_bearer_key_or_in_the_header_that_the_upstream_reads() -> None:
    assert sent(auth={"key": "sk-1"}).headers["authorization"] == "Bearer sk-1"
    azure = sent(auth={"key": "sk-1", "header": "api-key"}).headers
    assert azure["api-key"] == "sk-1"
    assert "authorization" not in azure


def test_a_key_in_any_header_is_hidden_if_the_upstream_repeats_it() -> None:
    refusal = b'{"error":{"message":"wrong: sk-12345","code":null}}'
    head = b"HTTP/1.1 401 no\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(refusal)
    answer = send(Server(head + refusal), auth={"key": "sk-12345", "header": "api-key"})
    assert judge(answer).message == "wrong: ***"


def test_the_query_of_the_settings_is_added_to_that_of_the_url() -> None:
    request = sent(url="http://127.0.0.1:{}/openai?a=b", query={"api-version": "2024-10-21", "x": "ä&="})
    assert request.target == "/openai/chat/completions?a=b&api-version=2024-10-21&x=%C3%A4%26%3D"


def test_headers_are_added_and_may_replace_the_user_agent() -> None:
    headers = sent(headers={"X-Team": "batch", "user-agent": "acme"}).headers
    assert (headers["x-team"], headers["user-agent"]) == ("batch", "acme")
    assert headers["content-type"] == "application/json"


def test_the_upstreams_name_of_the_model_is_sent_and_nothing_else_changes() -> None:
    request = sent(rewrite={"fast": "llama-3.1-8b"})
    assert request.body == BODY.replace(b'"fast"', b'"llama-3.1-8b"')
    assert request.headers["content-length"] == str(len(request.body))
    assert sent(rewrite={"slow": "llama"}).body == BODY


def test_a_connection_stays_alive_while_it_waits_for_an_answer() -> None:
    sockets = Sockets()
    with sockets((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 9))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_an_upstream_has_its_own_timeout() -> None:
    class Silent(Server):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                writer.close()

    with pytest.raises(NoAnswer) as caught:
        send(Silent(), timeout_seconds=0.1)
    assert caught.value.kind is Kind.TIMEOUT


@pytest.mark.parametrize("service", ["bedrock", "bedrock-mantle"])
def test_a_request_to_aws_is_signed_over_exactly_what_is_sent(service: str) -> None:
    aws = {"service": service, "region": "eu-west-1"}
    request = sent(auth={"aws": aws}, rewrite={"fast": "openai.gpt-oss-20b"}, query={"b": "2", "a": "1 ü"})
    assert b"openai.gpt-oss-20b" in request.body
    assert request.headers["x-amz-security-token"] == "session-of-the-role"
    # A server computes the same signature from what it received.
    url = f"http://{request.headers['host']}{request.target}"
    received = AWSRequest("POST", url, data=request.body, headers={})
    then = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", lambda **_: then.replace(tzinfo=None)):
        SigV4Auth(AWS, service, "eu-west-1").add_auth(received)
    assert request.headers["authorization"] == received.headers["Authorization"]
    assert f"/eu-west-1/{service}/aws4_request" in request.headers["authorization"]


def test_without_aws_credentials_a_request_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3.Session, "get_credentials", lambda _: None)
    with pytest.raises(NoAnswer, match="cannot be signed: Unable to locate credentials") as caught:
        sent(auth={"aws": {"service": "bedrock", "region": "eu-west-1"}})
    assert caught.value.kind is Kind.MISCONFIGURED


@pytest.mark.parametrize("as_text", [True, False])
def test_a_private_ca_is_trusted_from_its_text_and_from_its_file(tmp_path: Path, as_text: bool) -> None:
    certificate = make_certificate(tmp_path)
    ca = certificate.text if as_text else str(certificate.file)
    answer = send(Server(), "https://127.0.0.1:{}/v1", certificate, ca=ca)
    assert json.loads(answer.body) == {"id": "a1"}


def test_an_unknown_ca_makes_an_upstream_unreachable(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="self-signed certificate") as caught:
        send(Server(), "https://127.0.0.1:{}/v1", make_certificate(tmp_path))
    assert caught.value.kind is Kind.UNREACHABLE


def proxied(server: Server, monkeypatch: pytest.MonkeyPatch, url: str, **upstream: Any) -> Answer:
    """Post to an upstream while `server` is the proxy."""

    async def main() -> Answer:
        async with server.started():
            for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, f"http://user:pass@127.0.0.1:{server.port}")
            settings = Settings(upstreams=only(url, **upstream))
            connections = connections_to(settings, Clients(), lambda: 0.0)
            async with connections.connect("default", ByteBudget(10**9)) as connection:
                return await connection.post("/chat/completions", BODY)

    return asyncio.run(main())


def test_requests_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Server()
    assert proxied(proxy, monkeypatch, "http://models.test/v1", auth={"key": "sk-1"}).status == 200
    (request,) = proxy.requests
    assert request.target == "http://models.test/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["proxy-authorization"].startswith("Basic ")


def test_a_proxy_that_refuses_a_tunnel_is_an_outage_and_no_lines_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = Server(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(NoAnswer) as caught:
        proxied(proxy, monkeypatch, "https://models.test/v1", auth={"key": "sk-1"})
    assert caught.value.kind is Kind.UNREACHABLE
    (request,) = proxy.requests
    assert request.line == "CONNECT models.test:443 HTTP/1.1"
    assert "authorization" not in request.headers


def test_no_proxy_names_upstreams_that_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.test")
    assert sent().target == "/v1/chat/completions"
    monkeypatch.setenv("NO_PROXY", "elsewhere")
    with pytest.raises(NoAnswer) as caught:
        sent()
    assert caught.value.kind is Kind.UNREACHABLE


def test_an_upstream_that_was_removed_is_down_and_says_so() -> None:
    async def main() -> None:
        connections = connections_to(Settings(upstreams=only("http://h/v1")), Clients(), lambda: 0.0)
        async with connections.connect("gone", ByteBudget(1)) as connection:
            for request in (connection.post("/x", b"{}"), connection.probe()):
                with pytest.raises(NoAnswer, match="no upstream is named 'gone'") as caught:
                    await request
                assert caught.value.kind is Kind.MISCONFIGURED

    asyncio.run(main())
