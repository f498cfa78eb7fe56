"""The end of the stack, after all tests that use it."""

from typing import Any

import boto3
from typer.testing import CliRunner

from infra.cli.app import app
from infra.cli.deploying.options import ExitCode
from tests.rehearsal.conftest import STACK, Deployed, run


def test_destroy_asks_for_the_name_and_deletes_everything(deployed: Deployed) -> None:
    config = deployed.options[:2]
    declined = CliRunner().invoke(app, ["destroy", *config], input="Other\n")
    assert (declined.exit_code, "is not Rehearsal: nothing was deleted" in declined.stderr) == (
        ExitCode.DECLINED,
        True,
    )
    assert "deleted: the table" in declined.stdout
    run("destroy", *config, "--confirm", STACK)
    dynamodb: Any = boto3.client("dynamodb")
    sqs: Any = boto3.client("sqs")
    assert dynamodb.list_tables()["TableNames"] == []
    assert sqs.list_queues().get("QueueUrls", []) == []
    missing = CliRunner().invoke(app, ["status", "--stack", STACK])
    assert (missing.exit_code, f"no stack named {STACK}" in missing.stderr) == (ExitCode.FAILED, True)
