"""Whatever the HTTP front itself refuses is in the envelope. The operator may let browsers use it."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.home.direct_uploads import DirectUploads
from infra.home.front import Front, FunctionFailed
from infra.home.http_server import EnvelopeRunner
from infra.home.parts import open_data
from infra.home.serving import serving_application
from nightlane.aws.table.keys import DynamoKeys
from nightlane.settings import Settings
from tests.upstream import only
from tests.world import World

KEY = "sk-front-0123456789"
ORIGIN = "https://ui.acme.test"
AUTHORIZED = b"Host: x\r\nAuthorization: Bearer %b\r\n" % KEY.encode()
CREATE = b'{"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h"}'


class Invoked:
    """A function of a world, as the front calls it."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    async def call(self, event: dict[str, Any]) -> Any:
        try:
            # As JSON, as between API Gateway and Lambda.
            return await asyncio.to_thread(self._world.invoke, self._name, json.loads(json.dumps(event)))
        except Exception as error:
            raise FunctionFailed(str(error)) from error


@contextmanager
def serving_front(world: World, cors_origin: str | None) -> Iterator[str]:
    values = world.ports.settings.model_copy(update={"cors_origin": cors_origin})
    world = replace(world, ports=replace(world.ports, settings=values))
    api, authorize = Invoked(world, "api"), Invoked(world, "authorize")
    front = Front(api, authorize, values.max_upload_bytes, cors_origin=cors_origin)
    with serving_application(front.application(), runner_of=EnvelopeRunner) as url:
        yield url


@pytest.fixture(scope="module")
def url(shared_world: World) -> Iterator[str]:
    DynamoKeys(shared_world.clients.dynamodb, "nightlane").put_key(KEY, "acme")
    with serving_front(shared_world, None) as served:
        yield served


@pytest.fixture(scope="module")
def browser_url(shared_world: World) -> Iterator[str]:
    DynamoKeys(shared_world.clients.dynamodb, "nightlane").put_key(KEY, "acme")
    with serving_front(shared_world, ORIGIN) as served:
        yield served


@pytest.fixture(scope="module")
def home_url(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front that takes direct uploads, too."""
    settings = Settings(upstreams=only("http://127.0.0.1:9/v1"))
    parts = open_data(tmp_path_factory.mktemp("home"), settings)
    api, authorize = Invoked(shared_world, "api"), Invoked(shared_world, "authorize")
    application = Front(api, authorize, settings.max_upload_bytes, cors_origin=ORIGIN).application()
    DirectUploads(parts.ports, parts.blobs).add_to(application)
    with serving_application(application, runner_of=EnvelopeRunner) as served:
        yield served
    parts.database.close()


def send(url: str, data: bytes, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; return the status, the headers and the body of the response."""
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20) as connection:
        connection.sendall(data)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )


def error_of(response: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, Any]]:
    status, headers, body = response
    assert headers["content-type"].startswith("application/json"), body
    assert headers["x-request-id"]
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return status, error


def request(line: bytes, headers: bytes = b"", body: bytes = b"", first: bytes = AUTHORIZED) -> bytes:
    return line + b" HTTP/1.1\r\n" + first + headers + b"\r\n" + body


LIST, POST = b"GET /v1/batches", b"POST /v1/batches"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00\x01 garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /v1/batches HTTP/9.9\r\n\r\n", 400),
        (request(b"BREW /v1/batches"), 400),
        (request(b"GET /v1/files/\xe9"), 400),
        (request(LIST, b"no colon\r\n"), 400),
        (request(LIST, b"X-A: \x00\r\n"), 400),
        (request(LIST, b"".join(b"X-%d: a\r\n" % number for number in range(2_000))), 400),
        (request(LIST, b"X-A: " + b"a" * 20_000 + b"\r\n"), 431),
        (request(LIST + b"?after=" + b"a" * 20_000), 431),
        (request(POST, b"Content-Length: many\r\n"), 400),
        (request(POST, b"Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (request(POST, CHUNKED, b"zz\r\n"), 400),
        (request(POST, CHUNKED, b"2\r\n{}\r\nzz\r\n"), 400),
        (request(POST, CHUNKED + b"Content-Length: 2\r\n", b"2\r\n{}\r\n0\r\n\r\n"), 400),
        (request(POST, b"Transfer-Encoding: nonsense\r\n", b"{}"), 400),
        (request(POST, b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"), 501),
        (request(POST, b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"{}"), 400),
        (request(POST, b"Expect: tea\r\nContent-Length: 2\r\n", b"{}"), 417),
        (request(b"OPTIONS *"), 404),
        (request(b"CONNECT example.com:443"), 404),
        (request(b"GET /"), 404),
        (request(b"PUT /v1/batches", b"Content-Length: 0\r\n"), 405),
    ],
)
def test_whatever_the_front_refuses_is_in_the_envelope(url: str, data: bytes, status: int) -> None:
    assert error_of(send(url, data))[0] == status


def test_the_body_of_a_client_that_waits_for_100_continue_is_read(url: str) -> None:
    headers = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(CREATE)
    status, _, body = send(url, request(POST, headers, CREATE))
    assert (status, json.loads(body)["status"]) == (200, "validating")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (b"Bearer caf\xe9", "invalid_api_key"),
        ("Bearer café".encode(), "invalid_api_key"),
        (b"Bearer \xff\xfe", "invalid_api_key"),
        (b"Bearer " + KEY.encode() + b"\xff", "invalid_api_key"),
        (b"B\xe9arer x", None),
        (b"\xff", None),
        (b"", None),
        (b"Bearer", None),
    ],
)
def test_a_key_with_any_bytes_is_a_401(url: str, key: bytes, code: str | None) -> None:
    data = request(LIST, b"Authorization: %b\r\n" % key, first=b"Host: x\r\n")
    status, error = error_of(send(url, data))
    assert (status, error["code"]) == (401, code)


@pytest.mark.parametrize("header", [b"X-Other: \xe9", b"User-Agent: \xff", b"Accept: \xff", b"Cookie: \xe4"])
def test_other_headers_may_have_any_bytes(url: str, header: bytes) -> None:
    assert send(url, request(LIST, header + b"\r\n"))[0] == 200


@given(data=st.binary(max_size=80), line=st.sampled_from([b"", LIST + b" HTTP/1.1\r\n", request(LIST)[:-2]]))
@settings(max_examples=40, deadline=None)
def test_any_bytes_get_a_response_in_the_envelope_or_none(url: str, data: bytes, line: bytes) -> None:
    # The end is not HTTP, so that there is always something to respond to.
    response = send(url, line + data + b"\r\n\r\n\0\0\r\n\r\n")
    if response[0] != 200:
        assert 400 <= error_of(response)[0] < 500


def test_without_the_setting_browsers_may_not_use_the_api(url: str) -> None:
    for data in (request(LIST), request(b"OPTIONS /v1/batches")):
        assert "access-control-allow-origin" not in send(url, data)[1]
    data = request(b"OPTIONS /v1/batches", first=b"Host: x\r\nOrigin: https://ui.acme.test\r\n")
    assert error_of(send(url, data))[0] == 401


@pytest.mark.parametrize("path", [b"/v1/batches", b"/v1/files", b"/v1/files/file-1/content", b"/v1/models"])
def test_a_preflight_is_answered_without_a_key(browser_url: str, path: bytes) -> None:
    asked = b"Origin: https://ui.acme.test\r\nAccess-Control-Request-Method: DELETE\r\n"
    status, headers, body = send(
        browser_url, request(b"OPTIONS " + path, asked, first=b"Host: x\r\n"), method="OPTIONS"
    )
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "DELETE" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == "Authorization, *"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(LIST), 200),
        (request(b"GET /v1/files/file-1"), 404),
        (request(b"GET /"), 404),
        (request(LIST, first=b"Host: x\r\n"), 401),
        (request(POST, b"Content-Length: 0\r\n"), 400),
    ],
)
def test_a_page_may_read_every_response_and_its_headers(browser_url: str, data: bytes, status: int) -> None:
    response = send(browser_url, data)
    assert response[0] == status
    assert response[1]["access-control-allow-origin"] == ORIGIN
    assert response[1]["access-control-expose-headers"] == "*"


PUT = b"PUT /v1/direct?key=direct/acme/file-1"
WITHOUT_KEY = b"Host: x\r\nOrigin: https://ui.acme.test\r\n"


def test_a_page_may_send_a_direct_upload_to_one_machine(home_url: str) -> None:
    asked = b"Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: if-none-match\r\n"
    preflight = request(b"OPTIONS /v1/direct", asked, first=WITHOUT_KEY)
    status, headers, _ = send(home_url, preflight, method="OPTIONS")
    assert (status, headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "PUT" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == "Authorization, *"
    response = send(home_url, request(PUT, b"Content-Length: 2\r\n", b"{}", first=WITHOUT_KEY))
    assert error_of(response)[0] == 403
    assert response[1]["access-control-allow-origin"] == ORIGIN


def test_a_direct_upload_with_an_unknown_expectation_is_refused_in_the_envelope(home_url: str) -> None:
    for expectation, status in ((b"tea", 417), (b"100-continue", 403)):
        headers = b"Expect: %b\r\nContent-Length: 2\r\n" % expectation
        assert error_of(send(home_url, request(PUT, headers, b"{}", first=WITHOUT_KEY)))[0] == status
