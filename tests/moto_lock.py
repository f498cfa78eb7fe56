"""DynamoDB takes conditional writes one after the other; moto in threads does not."""

import threading
from typing import Any

import pytest
from moto.dynamodb.responses import DynamoHandler


def one_write_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Let moto in this process serve DynamoDB's calls one at a time."""
    lock = threading.Lock()
    usual = DynamoHandler.call_action

    def locked(handler: DynamoHandler) -> Any:
        with lock:
            return usual(handler)

    patch.setattr(DynamoHandler, "call_action", locked)
