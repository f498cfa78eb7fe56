"""The HTTP client: every way of getting no answer has its kind, and no memory stays reserved."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from nightlane.api_settings import KIB
from nightlane.aws.clients import Clients
from nightlane.aws.secrets import CACHE_SECONDS, MIN_SECONDS_BETWEEN_READS, UpstreamKey
from nightlane.domain.inference.budget import ByteBudget
from nightlane.domain.inference.outcomes import judge
from nightlane.domain.inference.ports import Answer, Kind, NoAnswer
from nightlane.domain.inference.table import Verdict
from nightlane.settings import Settings
from nightlane.upstream.credentials import Credentials, FixedKey, Key
from nightlane.upstream.http import STALE_SECONDS, HttpUpstream, http_upstream
from nightlane.upstream.reading import SMALL_BYTES
from tests.upstream import only

NAME = "acme/models"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def http_response(body: bytes, head: bytes = OK) -> bytes:
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


@dataclass
class Wire:
    """Sends `data`, or what it returns for the head of a request, then closes the connection."""

    data: bytes | Callable[[bytes], bytes] = b""
    heads: list[bytes] = field(default_factory=list)
    pause_seconds: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if b"content-length: 2" in head.lower():
                await reader.readexactly(2)
            await asyncio.sleep(self.pause_seconds)
            writer.write(self.data(head) if callable(self.data) else self.data)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def connected(
    wire: Wire,
    budget: ByteBudget | None = None,
    key: Key | None = None,
    base_url: str = "http://127.0.0.1:{}/v1",
    upstream: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[HttpUpstream]:
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    values, credentials = Settings(**settings), Credentials(key or FixedKey())
    (one,) = only(base_url.format(port), **upstream or {})
    async with (
        server,
        http_upstream(one, values, credentials, budget or ByteBudget(10**9), lambda: 0.0) as connection,
    ):
        yield connection


def post(wire: Wire, **settings: Any) -> Answer:
    async def main() -> Answer:
        async with connected(wire, **settings) as upstream:
            return await upstream.post("/completions", b"{}")

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.DISCONNECTED),
        (OK + b"content-length: 10\r\n\r\n{}", Kind.DISCONNECTED),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", Kind.DISCONNECTED),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Kind.UNREADABLE),
        (b"HTTP/1.1 \xff\xfe nothing\r\n\r\n", Kind.UNREADABLE),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100 * KIB + b"\r\n\r\n", Kind.UNREADABLE),
    ],
    ids=["closed", "cut", "cut chunks", "another protocol", "no status", "a huge header"],
)
def test_an_answer_that_does_not_arrive_is_classified(data: bytes, kind: Kind) -> None:
    with pytest.raises(NoAnswer) as caught:
        post(Wire(data))
    assert caught.value.kind is kind
    assert caught.value.reason
    caught.value.reason.encode()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, Kind.UNREACHABLE),
        ({"base_url": "https://127.0.0.1:9/v1"}, Kind.UNREACHABLE),
        ({"base_url": "http://two..dots/v1"}, Kind.MISCONFIGURED),
        ({"upstream_timeout_seconds": 0.05}, Kind.TIMEOUT),
        ({"max_answer_bytes": KIB}, Kind.TOO_LARGE),
    ],
    ids=["refused", "no TLS", "an invalid host", "late", "too large"],
)
def test_an_answer_that_cannot_be_received_is_classified(settings: dict[str, Any], kind: Kind) -> None:
    pause = 0.2 if kind is Kind.TIMEOUT else 0.0
    with pytest.raises(NoAnswer) as caught:
        post(Wire(http_response(b"x" * 2 * KIB), pause_seconds=pause), **settings)
    assert caught.value.kind is kind


def encoded(encoding: bytes, body: bytes) -> bytes:
    return http_response(body, OK + b"content-encoding: " + encoding + b"\r\n")


@pytest.mark.parametrize(
    "data",
    [
        encoded(b"gzip", gzip.compress(b"{}")),
        encoded(b"GZIP", gzip.compress(b"{}")),
        encoded(b"x-gzip", gzip.compress(b"{}")),
        encoded(b"deflate", zlib.compress(b"{}")),
        encoded(b"deflate", zlib.compress(b"{}")[2:-4]),
        encoded(b"identity", b"{}"),
        encoded(b"", b"{}"),
    ],
    ids=["gzip", "upper case", "x-gzip", "deflate", "raw deflate", "identity", "empty"],
)
def test_an_answer_in_an_encoding_that_was_offered_is_read(data: bytes) -> None:
    wire = Wire(data)
    assert post(wire).body == b"{}"
    assert b"\r\naccept-encoding: gzip, deflate\r\n" in wire.heads[0].lower()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(b"br", b"\x0b\x00\x80{}\x03"), "was not offered: Accept-Encoding is 'gzip, deflate'"),
        (encoded(b"zstd", b"{}"), "was not offered"),
        (encoded(b"compress", b"{}"), "'compress' was not offered"),
        (encoded(b"gzip, gzip", gzip.compress(gzip.compress(b"{}"))), "'gzip, gzip' was not offered"),
        (encoded(b"gzip", b'{"plain": 1}'), "is not in its content-encoding"),
        (encoded(b"x-gzip", b'{"plain": 1}'), "content-encoding is x-gzip"),
    ],
    ids=["br", "zstd", "compress", "twice", "not gzip", "not x-gzip"],
)
def test_an_answer_in_another_encoding_is_unreadable_and_says_so(data: bytes, reason: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        post(Wire(data))
    assert caught.value.kind is Kind.UNREADABLE
    assert reason in caught.value.reason


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip"])
def test_an_answer_that_is_too_large_once_decompressed_is_rejected(encoding: bytes) -> None:
    with pytest.raises(NoAnswer) as caught:
        post(Wire(encoded(encoding, gzip.compress(b" " * 100 * KIB))), max_answer_bytes=KIB)
    assert caught.value.kind is Kind.TOO_LARGE


def test_a_key_that_cannot_be_sent_is_a_configuration_error() -> None:
    class Broken(FixedKey, frozen=True):
        def get(self) -> str | None:
            raise ValueError("a key must be printable ASCII characters on a single line")

    with pytest.raises(NoAnswer, match="printable") as caught:
        post(Wire(http_response(b"{}")), key=Broken())
    assert caught.value.kind is Kind.MISCONFIGURED


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (b"location: https://a.test/v1/completions?token=secret\r\n", "https://a.test/v1/completions, and"),
        (b"location: /login\r\n", "/login, and"),
        (b"location: /caf\xe9\xff\r\n", "/caf??, and"),
        (b"", "nowhere, and"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_reported_and_not_followed(status: int, location: bytes, shown: str) -> None:
    wire = Wire(b"HTTP/1.1 %d Found\r\n%bcontent-length: 0\r\n\r\n" % (status, location))
    with pytest.raises(NoAnswer) as caught:
        post(wire)
    assert caught.value.kind is Kind.REDIRECT
    assert caught.value.reason.startswith(f"{status}: it redirects to {shown}")
    assert "correct the url of upstream 'default'" in caught.value.reason
    assert (len(wire.heads), judge(caught.value).verdict) == (1, Verdict.REFUSED)


@dataclass
class KeepAlive(Wire):
    """Answers this many requests on a connection, closes it when the next one has arrived, and so on."""

    answers: int = 1
    begins: bytes = b""
    """What is sent before it closes."""
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for number in range(self.answers + 1):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(2)
            await asyncio.sleep(self.pause_seconds if number == self.answers else 0)
            writer.write(http_response(b"{}") if number < self.answers else self.begins)
            await writer.drain()
        writer.close()


def test_a_kept_alive_connection_that_went_stale_is_replaced_at_once() -> None:
    wire = KeepAlive(answers=2)

    async def main() -> None:
        async with connected(wire) as upstream:
            for _ in range(5):
                assert (await upstream.post("/completions", b"{}")).body == b"{}"

    asyncio.run(main())
    assert (wire.connections, len(wire.heads)) == (3, 7)


def test_a_stale_connection_is_replaced_once_and_then_it_is_a_failure() -> None:
    wire = KeepAlive(answers=1)

    async def main() -> None:
        async with connected(wire) as upstream:
            # Two connections in the pool, and both are closed on their next request.
            await post_concurrently(upstream, 2)
            with pytest.raises(NoAnswer) as caught:
                await upstream.post("/completions", b"{}")
            assert caught.value.kind is Kind.DISCONNECTED

    asyncio.run(main())
    assert (wire.connections, len(wire.heads)) == (2, 4)


@pytest.mark.parametrize(
    "wire",
    [
        KeepAlive(answers=0),
        KeepAlive(answers=1, begins=OK + b"content-length: 10\r\n\r\n{}"),
        KeepAlive(answers=1, pause_seconds=STALE_SECONDS + 0.2),
    ],
    ids=["a new connection", "a part of the answer came", "closed after a while"],
)
def test_a_connection_closed_over_a_request_is_a_failure_of_its_line(wire: KeepAlive) -> None:
    async def main() -> None:
        async with connected(wire) as upstream:
            for _ in range(wire.answers):
                await upstream.post("/completions", b"{}")
            with pytest.raises(NoAnswer) as caught:
                await upstream.post("/completions", b"{}")
            assert caught.value.kind is Kind.DISCONNECTED

    asyncio.run(main())
    assert len(wire.heads) == wire.answers + 1


@pytest.mark.parametrize(
    ("base", "line"),
    [
        ("http://127.0.0.1:{}/v1/", b"POST /v1/completions HTTP/1.1"),
        ("HTTP://LOCALHOST:{}", b"POST /v1/completions HTTP/1.1"),
        ("http://127.0.0.1:{}/d?api-version=2024-10-21", b"POST /d/completions?api-version=2024-10-21 HTTP"),
    ],
)
def test_requests_go_below_the_base_url_with_its_query(base: str, line: bytes) -> None:
    wire = Wire(http_response(b"{}"))

    async def main() -> None:
        async with connected(wire, base_url=base) as upstream:
            await upstream.post("/completions", b"{}")

    asyncio.run(main())
    assert wire.heads[0].startswith(line)


def test_a_request_id_of_odd_bytes_becomes_text_and_retry_after_is_read() -> None:
    head = b"HTTP/1.1 503 \xe9\r\nx-request-id: caf\xe9\xff 7\r\nretry-after: 7\r\n"
    answer = post(Wire(http_response(b"{}", head)))
    assert (answer.status, answer.request_id, answer.retry_after) == (503, "caf?? 7", 7.0)
    json.dumps(answer.request_id).encode()
    assert post(Wire(http_response(b"{}"))).request_id.startswith("req_")


def test_headers_of_60_kib_are_read() -> None:
    head = OK + b"".join(b"x-policy-%d: %b\r\n" % (number, b"y" * 6_000) for number in range(10))
    assert post(Wire(http_response(b"{}", head))).body == b"{}"


@pytest.mark.parametrize("chunked", [False, True])
def test_many_large_answers_fit_through_a_small_budget(chunked: bool) -> None:
    body = b"x" * 3 * SMALL_BYTES
    data = OK + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    budget = ByteBudget(4 * SMALL_BYTES)

    async def main() -> None:
        wire = Wire(data if chunked else http_response(body))
        async with connected(wire, budget, max_answer_bytes=4 * SMALL_BYTES) as upstream:
            answers = await asyncio.gather(*(upstream.post("/completions", b"{}") for _ in range(12)))
        assert {answer.body for answer in answers} == {body}

    asyncio.run(main())
    assert (budget.used, budget.is_full) == (0, False)


@pytest.mark.parametrize(
    ("head", "compressed", "reserved"),
    [
        (OK, False, 3 * SMALL_BYTES),
        (OK + b"content-encoding: gzip\r\n", True, 8 * SMALL_BYTES),
    ],
    ids=["plain", "compressed"],
)
def test_a_large_answer_reserves_its_greatest_possible_size(
    head: bytes, compressed: bool, reserved: int
) -> None:
    sizes: list[int] = []

    class RecordingBudget(ByteBudget):
        async def reserve(self, size: int) -> None:
            sizes.append(size)
            await super().reserve(size)

    body = b"x" * 3 * SMALL_BYTES
    answer = post(
        Wire(http_response(gzip.compress(body) if compressed else body, head)),
        budget=RecordingBudget(10**9),
        max_answer_bytes=8 * SMALL_BYTES,
    )
    assert answer.body == body
    assert sizes == [reserved]


def test_an_answer_cancelled_while_waiting_for_memory_releases_only_what_it_had() -> None:
    budget, pressed = ByteBudget(SMALL_BYTES), asyncio.Event()
    budget.on_pressure = pressed.set

    async def main() -> None:
        await budget.reserve(SMALL_BYTES)
        async with connected(Wire(http_response(b"x" * 2 * SMALL_BYTES)), budget) as upstream:
            asking = asyncio.create_task(upstream.post("/completions", b"{}"))
            await asyncio.wait_for(pressed.wait(), 10)
            asking.cancel()
            await asyncio.wait([asking])
        assert asking.cancelled()
        assert budget.used == SMALL_BYTES
        budget.release(SMALL_BYTES)
        assert (budget.used, budget.is_full) == (0, False)

    asyncio.run(main())


@dataclass
class Vault:
    """A secret in Secrets Manager, how often it was read, and a clock."""

    clients: Clients
    seconds: float = 0.0
    reads: int = 0

    def __post_init__(self) -> None:
        self.clients.secrets.create_secret(Name=NAME, SecretString="sk-old\n")
        events = self.clients.secrets.meta.events
        events.register("before-call.secrets-manager.GetSecretValue", self._note)

    def _note(self, **_: Any) -> None:
        self.reads += 1

    def rotate(self, key: str) -> None:
        self.clients.secrets.put_secret_value(SecretId=NAME, SecretString=key)

    def key(self) -> UpstreamKey:
        return UpstreamKey(NAME, self.clients, lambda: self.seconds)


@pytest.fixture
def vault() -> Iterator[Vault]:
    with mock_aws():
        yield Vault(Clients(boto3.Session("testing", "testing", region_name="us-east-1")))


def test_a_secret_may_be_stored_as_bytes(vault: Vault) -> None:
    vault.clients.secrets.put_secret_value(SecretId=NAME, SecretBinary=b"sk-bytes\n")
    assert vault.key().get() == "sk-bytes"
    vault.clients.secrets.put_secret_value(SecretId=NAME, SecretBinary=b"\xff")
    with pytest.raises(ValueError, match="decode"):
        vault.key().get()


def test_a_secret_is_read_once_and_again_after_five_minutes(vault: Vault) -> None:
    key = vault.key()
    assert [key.get() for _ in range(3)] == ["sk-old"] * 3
    vault.rotate("sk-new")
    vault.seconds = CACHE_SECONDS - 1
    assert (key.get(), vault.reads) == ("sk-old", 1)
    vault.seconds = CACHE_SECONDS
    assert (key.get(), vault.reads) == ("sk-new", 2)


def test_a_refused_key_is_read_again_but_not_for_every_refusal(vault: Vault) -> None:
    key = vault.key()
    key.get()
    vault.rotate("sk-new")
    vault.seconds = MIN_SECONDS_BETWEEN_READS - 1
    assert (key.get_other_than("sk-old"), vault.reads) == ("sk-old", 1)
    vault.seconds = MIN_SECONDS_BETWEEN_READS
    assert (key.get_other_than("sk-old"), vault.reads) == ("sk-new", 2)
    assert (key.get_other_than("sk-old"), vault.reads) == ("sk-new", 2)
    vault.seconds += 1
    assert (key.get_other_than("sk-new"), vault.reads) == ("sk-new", 2)


def test_a_secret_that_is_not_a_key_is_rejected_until_it_is_corrected(vault: Vault) -> None:
    key = vault.key()
    vault.rotate('{"key": "sk"}\n{"other": "sk"}')
    with pytest.raises(ValueError, match="printable"):
        key.get()
    vault.rotate("sk-new")
    vault.seconds = CACHE_SECONDS
    assert key.get() == "sk-new"


def test_a_secret_that_cannot_be_read_is_named(vault: Vault) -> None:
    with pytest.raises(ValueError, match="the secret acme/none cannot be read"):
        UpstreamKey("acme/none", vault.clients).get()


def locked(head: bytes) -> bytes:
    """Respond as an upstream that accepts only the new key."""
    if b"Bearer sk-new\r\n" in head:
        return http_response(b"{}")
    return http_response(b'{"error":{"message":"Incorrect key: sk-old","code":null}}', b"HTTP/1.1 401 no\r\n")


async def post_concurrently(upstream: HttpUpstream, count: int) -> list[int]:
    answers: list[Awaitable[Answer]] = [upstream.post("/completions", b"{}") for _ in range(count)]
    return [answer.status for answer in await asyncio.gather(*answers)]


def test_after_a_rotation_the_requests_in_flight_read_the_new_key_once_and_are_retried(vault: Vault) -> None:
    async def main() -> None:
        wire = Wire(locked)
        async with connected(wire, key=vault.key()) as upstream:
            # The secret still holds the key that the upstream refuses.
            assert await post_concurrently(upstream, 2) == [401, 401]
            vault.rotate("sk-new")
            vault.seconds = MIN_SECONDS_BETWEEN_READS
            assert await post_concurrently(upstream, 8) == [200] * 8
            assert await post_concurrently(upstream, 3) == [200] * 3
        assert vault.reads == 2
        assert len(wire.heads) == 2 + 8 + 8 + 3

    asyncio.run(main())


def test_a_key_that_an_upstream_repeats_in_an_error_is_hidden(vault: Vault) -> None:
    answer = post(Wire(locked), key=vault.key())
    assert (answer.status, judge(answer).message) == (401, "Incorrect key: ***")
