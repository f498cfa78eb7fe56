"""What a worker asks of the upstream and of its message."""

from enum import StrEnum
from typing import Protocol

import msgspec


class Kind(StrEnum):
    """What an attempt came to: the name of a row of `table.TABLE`, and a dimension of metrics."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    DENIED = "denied"
    GATEWAY = "gateway"
    REDIRECT = "redirect"
    UNREACHABLE = "unreachable"
    MISCONFIGURED = "misconfigured"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    UNREADABLE = "unreadable"
    ERROR_IN_SUCCESS = "error_in_success"


class NoAnswer(Exception):
    """The upstream gave no answer that could be read: `kind` says how, `reason` in the network's words."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


class Answer(msgspec.Struct, frozen=True):
    """What the upstream answered; `retry_after` in seconds."""

    status: int
    body: bytes
    request_id: str
    retry_after: float | None
    content_type: str = "application/json"


class Upstream(Protocol):
    """The inference endpoint."""

    async def post(self, path: str, body: bytes) -> Answer:
        """Send a request body as it is. Raises: NoAnswer."""

    async def probe(self) -> Answer:
        """`GET /models`, which costs the upstream nothing. Raises: NoAnswer."""


class LeaseView(Protocol):
    """Whether the message is still this worker's."""

    @property
    def is_held(self) -> bool: ...
