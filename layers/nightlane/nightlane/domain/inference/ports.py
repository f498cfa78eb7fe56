"""What a worker asks of the upstream and of its message."""

from dataclasses import dataclass
from typing import Protocol


class Unreachable(Exception):
    """The upstream gave no answer: refused, reset or timed out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream answered; `retry_after` in seconds."""

    status: int
    body: bytes
    request_id: str
    retry_after: float | None


class Upstream(Protocol):
    """The inference endpoint."""

    async def post(self, path: str, body: bytes) -> Answer:
        """Send a request body as it is. Raises: Unreachable."""


class LeaseView(Protocol):
    """Whether the message is still this worker's."""

    @property
    def is_held(self) -> bool: ...
