"""Serializes writes: DynamoDB applies conditional writes one after the other, threaded moto does not."""

import threading
from typing import Any

import pytest
from moto.dynamodb.responses import DynamoHandler


def one_write_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Make moto in this process handle one DynamoDB call at a time."""
    lock = threading.Lock()
    original = DynamoHandler.call_action

    def locked(handler: DynamoHandler) -> Any:
        with lock:
            return original(handler)

    patch.setattr(DynamoHandler, "call_action", locked)
