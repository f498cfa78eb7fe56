"""The end of the stack, after all tests that use it."""

from typing import Any

import boto3
import pytest

from tests.rehearsal.conftest import BIN, STACK, Deployed, nightlane, run


def test_destroy_asks_for_the_name_and_deletes_everything(deployed: Deployed) -> None:
    config = deployed.options[:2]
    with pytest.raises(AssertionError, match="is not Rehearsal: nothing was deleted"):
        run(BIN / "nightlane", "destroy", *config, "--confirm", "Other")
    printed = nightlane("destroy", *config, "--confirm", STACK)
    dynamodb: Any = boto3.client("dynamodb")
    sqs: Any = boto3.client("sqs")
    assert "deleted: the table" in printed
    assert dynamodb.list_tables()["TableNames"] == []
    assert sqs.list_queues().get("QueueUrls", []) == []
    with pytest.raises(AssertionError, match=f"no stack named {STACK}"):
        nightlane("status", "--stack", STACK)
