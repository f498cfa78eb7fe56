"""What a worker needs from the upstream and from its message."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import msgspec


class Kind(StrEnum):
    """The kind of an outcome: named in the rows of `table.TABLE`, and a dimension of metrics."""

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
    """The upstream gave no readable answer: `kind` classifies why, `reason` is the network error."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


class Answer(msgspec.Struct, frozen=True):
    """The upstream's answer; `retry_after` is in seconds."""

    status: int
    body: bytes
    request_id: str
    retry_after: float | None
    content_type: str = "application/json"


class Upstream(Protocol):
    """The inference endpoint."""

    async def post(self, path: str, body: bytes) -> Answer:
        """Send a request body unchanged. Raises: NoAnswer."""

    async def probe(self) -> Answer:
        """Send `GET /models`, which costs the upstream almost nothing. Raises: NoAnswer."""


Connect = Callable[[str], AbstractAsyncContextManager[Upstream]]
"""Opens a session with the upstream of this name."""


class LeaseView(Protocol):
    """Whether this worker still holds its message."""

    @property
    def is_held(self) -> bool: ...


class MessageLease(LeaseView, Protocol):
    """A lease that can be given up."""

    def hand_back(self, delay_seconds: int) -> None:
        """End the lease, and make the message visible again after the delay. Waits for I/O."""
