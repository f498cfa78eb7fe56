"""Uploads to `nightlane local` are written to disk as they arrive, with the same checks as on AWS."""

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from infra.cli.mock.process import MockUpstream
from tests.e2e.homes import KEY, Server, running
from tests.world import requests

LARGE_BYTES = 100_000_000
FORM = "multipart/form-data; boundary=b0undary"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("data")
    limits = ("--set", f"max_upload_bytes={LARGE_BYTES}", "--set", f"max_batch_bytes={LARGE_BYTES // 2}")
    with MockUpstream() as upstream, running(folder, upstream.url, *limits) as server:
        yield server


def connect(server: Server) -> http.client.HTTPConnection:
    address = server.client.base_url
    return http.client.HTTPConnection(address.host, address.port or 0, timeout=60)


def send(server: Server, pieces: Iterator[bytes], size: int, key: str = KEY) -> tuple[int, Any]:
    """Send a form piece by piece. Returns the status and the JSON of the response."""
    connection = connect(server)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": FORM, "Content-Length": str(size)}
    connection.request("POST", "/v1/files", body=pieces, headers=headers)
    answer = connection.getresponse()
    result = answer.status, json.loads(answer.read())
    connection.close()
    return result


def form(size: int, purpose: str = "user_data") -> tuple[Iterator[bytes], int]:
    """A form with a file of `size` bytes, and the size of the whole body."""
    before = (
        '--b0undary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'
        f"{purpose}\r\n--b0undary\r\n"
        'Content-Disposition: form-data; name="file"; filename="large"\r\n\r\n'
    ).encode()
    after, piece = b"\r\n--b0undary--\r\n", b'{"a": 1}\n' * 10_000

    def pieces() -> Iterator[bytes]:
        yield before
        yield from (piece for _ in range(size // len(piece)))
        yield piece[: size % len(piece)] + after

    return pieces(), len(before) + size + len(after)


def resident_bytes(server: Server) -> int:
    command = ["/bin/ps", "-o", "rss=", "-p", str(server.process.pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1_024


def incomplete(server: Server) -> list[Path]:
    return list((server.data / "incomplete").iterdir())


def test_a_large_upload_is_not_held_in_memory(home: Server) -> None:
    before, seen, ended = resident_bytes(home), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen.append(resident_bytes(home))

    watching = threading.Thread(target=watch)
    watching.start()
    status, file = send(home, *form(LARGE_BYTES))
    ended.set()
    watching.join()
    assert (status, file["bytes"]) == (200, LARGE_BYTES)
    assert max(seen) - before < LARGE_BYTES / 4
    kept = home.data / "objects" / "files" / "default" / file["id"]
    assert kept.stat().st_size == LARGE_BYTES
    assert incomplete(home) == []


@pytest.mark.parametrize(
    ("size", "purpose", "status", "message"),
    [
        (LARGE_BYTES + 1, "user_data", 413, "larger than the 100000000 bytes of one upload"),
        (LARGE_BYTES + 200_000, "user_data", 413, "larger than one request to this server may be"),
        (LARGE_BYTES // 2 + 1, "batch", 400, "a batch input file may have 50000000 bytes"),
        (100, "nonsense", 400, "Invalid value: 'nonsense'"),
    ],
)
def test_a_rejected_upload_gets_an_error_envelope_and_leaves_no_files(
    home: Server, size: int, purpose: str, status: int, message: str
) -> None:
    answered, body = send(home, *form(size, purpose))
    assert answered == status
    assert message in body["error"]["message"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert incomplete(home) == []


def test_a_broken_form_is_a_bad_request(home: Server) -> None:
    answered, body = send(home, iter([b"--b0undary\r\nnonsense\r\n", b"x" * 1_000_000]), 1_000_022)
    assert (answered, body["error"]["type"]) == (400, "invalid_request_error")
    assert body["error"]["message"].startswith("The multipart body is broken")
    assert incomplete(home) == []


def test_a_form_without_a_file_is_a_bad_request(home: Server) -> None:
    body = b'--b0undary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b0undary--\r\n'
    answered, answer = send(home, iter([body]), len(body))
    assert (answered, answer["error"]["param"]) == (400, "file")
    assert answer["error"]["message"] == "Missing required parameter: 'file'."


def test_an_upload_without_a_valid_key_is_not_stored(home: Server) -> None:
    answered, body = send(home, *form(1_000_000), key="sk-nobodys")
    assert (answered, body["error"]["code"]) == (401, "invalid_api_key")
    assert incomplete(home) == []


def test_an_interrupted_upload_leaves_no_files(home: Server) -> None:
    pieces, size = form(10_000_000)
    connection = connect(home)
    connection.putrequest("POST", "/v1/files")
    for name, value in (("Authorization", f"Bearer {KEY}"), ("Content-Type", FORM)):
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(size))
    connection.endheaders(next(pieces))
    for _ in range(20):
        connection.send(next(pieces))
    while not incomplete(home):
        pass
    connection.close()
    while incomplete(home):
        pass
    assert list(home.client.files.list(purpose="batch")) == []


def test_a_batch_file_is_checked_as_on_aws(home: Server) -> None:
    with pytest.raises(openai.BadRequestError, match=r"Must be \.jsonl"):
        home.client.files.create(file=b"\xef\xbb\xbf\n\nno json\n", purpose="batch")
    file = home.client.files.create(file=b"\xef\xbb\xbf\n" + requests(3), purpose="batch")
    assert home.client.files.content(file.id).content == b"\xef\xbb\xbf\n" + requests(3)
