"""The JSONL lines of a batch: requests in, results and errors out.

Source: https://platform.openai.com/docs/api-reference/batch/request-input and …/request-output
"""

import sys
from array import array
from collections.abc import Iterable, Iterator
from enum import Enum
from hashlib import blake2b
from typing import Any

import msgspec

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineError(Enum):
    """Why a request has no response: the code and the text of its error line."""

    EXPIRED = (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    )
    CANCELLED = ("batch_cancelled", "This request was not executed because the batch was cancelled.")
    TIMEOUT = ("request_timeout", "This request timed out on every attempt.")
    NO_ANSWER = ("server_error", "This request got no complete answer on any attempt.")
    TOO_LARGE = ("response_too_large", "The answer to this request is too large.")
    TOO_LARGE_TO_SHOW = (
        "result_too_large",
        "The result of this request is larger than one page. It is in the batch's files once it has ended.",
    )
    CRASHED_ITS_WORKER = (
        "server_error",
        "This request could not be executed: it crashed the worker on every attempt.",
    )
    UNDELIVERABLE = (
        "server_error",
        "This request could not be executed: its worker failed too many times.",
    )

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def message(self) -> str:
        return self.value[1]


class Lines(msgspec.Struct, frozen=True):
    """Where the request lines of a file are: byte offsets, `ends` exclusive."""

    starts: "array[int]" = msgspec.field(default_factory=lambda: array("Q"))
    ends: "array[int]" = msgspec.field(default_factory=lambda: array("Q"))

    def __len__(self) -> int:
        return len(self.starts)

    def add(self, start: int, length: int) -> None:
        self.starts.append(start)
        self.ends.append(start + length)


class RequestLine(msgspec.Struct, frozen=True):
    """The parts of a validated line that a worker needs; `body` holds the bytes as the user wrote them."""

    custom_id: str
    body: msgspec.Raw


_decode_request = msgspec.json.Decoder(RequestLine).decode
_encode = msgspec.json.encode


def read_request(line: bytes) -> RequestLine:
    """Decode a line that passed validation. Raises: msgspec.DecodeError."""
    return _decode_request(line)


def is_blank(line: bytes) -> bool:
    """Whether a line is blank. Blank lines are skipped but count in line numbers."""
    return not line.strip()


def is_json(line: bytes) -> bool:
    """Whether a line is valid JSON."""
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def split_lines(chunks: Iterable[bytes], limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield the offset and the bytes of every line, without its line feed; None for one above `limit` bytes.

    Holds at most one chunk and one line. A line feed at the end of the data does not start another line.
    """
    start, held, skipped = 0, b"", 0
    for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            length = skipped + len(held) + len(line)
            yield start, None if length > limit else held + line
            start, held, skipped = start + length + 1, b"", 0
        if skipped or len(held) + len(rest) > limit:
            skipped, held = skipped + len(held) + len(rest), b""
        else:
            held += rest
    if held or skipped:
        yield start, None if skipped else held


def request_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Return the requests in a shard's bytes, in order, read as they are consumed."""
    lines = (line for _, line in split_lines(chunks, sys.maxsize))
    return (line for line in lines if line is not None and not is_blank(line))


def result_id(batch_id: str, line: int) -> str:
    """Return the id of a result line, which is the same on every run of the line.

    `line` is its number among the batch's requests, as they are sent.
    """
    return "batch_req_" + blake2b(f"{batch_id}/{line}".encode(), digest_size=16).hexdigest()


def response_line(result: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """Return a result line with a response; `body` is a JSON object on one line."""
    head = b'{"id":"%b","custom_id":%b,"response":{"status_code":%d,"request_id":%b,"body":' % (
        result.encode(),
        _encode(custom_id),
        status,
        _encode(request_id),
    )
    return b'%b%b},"error":null}\n' % (head if head.isascii() else escape_separators(head), body)


def error_line(result: str, custom_id: str, error: LineError, detail: str = "") -> bytes:
    """Return the result line of a request without a response; `detail` is appended to the error's message."""
    message = f"{error.message} {detail}" if detail else error.message
    answer: dict[str, Any] = {
        "id": result,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": error.code, "message": message},
    }
    return escape_separators(_encode(answer)) + b"\n"


def escape_separators(data: bytes) -> bytes:
    """Escape U+2028, U+2029 and U+0085 in JSON, because many readers treat them as line breaks.

    The official client's `iter_lines()` and Python's `splitlines()` do. OpenAI's own files are ASCII.
    """
    if data.isascii():
        return data
    return (
        data.replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
        .replace(b"\xc2\x85", b"\\u0085")
    )
