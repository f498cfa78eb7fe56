"""All client tests, against the stack that `nightlane deploy` made."""

import json
import re
from pathlib import Path

import openai
import pytest
from typer.testing import CliRunner

from infra.cli.app import app
from infra.cli.deploying.one_line import TENANT
from infra.cli.deploying.options import ExitCode
from infra.cli.mock.process import MockUpstream
from infra.version import checkout_version
from tests.clients.suites import run_node
from tests.e2e.conftest import Instance
from tests.e2e.test_client import *  # noqa: F403
from tests.e2e.test_command import (  # noqa: F401
    test_ctrl_c_cancels_a_running_batch,
    test_run_shows_why_a_file_is_invalid,
    test_run_writes_the_results,
)
from tests.e2e.test_direct_uploads import (  # noqa: F401
    test_a_completed_file_cannot_be_changed_or_completed_otherwise,
    test_a_file_that_was_put_is_completed_by_itself,
    test_a_pending_file_is_not_usable_and_not_listed,
)
from tests.e2e.test_lifecycle import test_a_running_batch_is_cancelled_within_seconds  # noqa: F401
from tests.e2e.test_results import *  # noqa: F403
from tests.e2e.test_uploads import (  # noqa: F401
    test_a_cancelled_upload_takes_no_more_parts,
    test_a_file_uploaded_in_parts_runs_as_a_batch,
    test_wrong_sizes_and_checksums_are_refused,
)
from tests.e2e.test_webhooks import (  # noqa: F401
    test_the_client_manages_endpoints,
    test_the_client_unwraps_the_event_of_a_batch_and_of_a_test,
)
from tests.rehearsal.conftest import SECOND_LIMIT, STACK, Deployed, create_key, nightlane
from tests.world import requests


def test_deploy_checks_the_account_first_and_ends_with_an_answer(deployed: Deployed) -> None:
    checks, _, end = deployed.printed.partition(f"deployed {STACK}")
    for shown in (
        "Lambda concurrency",
        "secret rehearsal/upstream: readable",
        "functions outside a VPC cannot",
    ):
        assert shown in checks
    assert f"{STACK} will be created: " in checks
    assert "problem" not in checks
    assert deployed.status["base_url"] in end
    assert "answer: " in end
    # Its key was deleted.
    assert nightlane("keys", "list", "--tenant", TENANT, "--stack", STACK) == ""


def test_doctor_finds_no_problem_in_the_stack(deployed: Deployed) -> None:
    findings = nightlane("doctor", *deployed.options)
    for name in (
        "credentials",
        "CDK bootstrap",
        f"stack {STACK}",
        "version",
        "API",
        "authorizer",
        "presigned",
    ):
        assert re.search(rf"^ok +{name}", findings, re.MULTILINE), findings


def test_status_shows_version_alarms_batches_and_queues(deployed: Deployed) -> None:
    status = deployed.status
    assert (status["state"], status["version"]) == ("CREATE_COMPLETE", checkout_version())
    assert (status["alarms"], status["batches_running"], status["batches_waiting"]) == ({}, 0, 0)
    messages = {each["name"]: each["waiting"] for each in status["queues"]}
    assert set(messages) == {"plan", "infer", "assemble", "notify", "dead", "infer-dead"}
    assert messages["dead"] == messages["infer-dead"] == 0


def test_a_deployment_with_a_problem_is_refused(deployed: Deployed) -> None:
    """The checkout's own cdk.json has a placeholder for the endpoint."""
    refused = CliRunner().invoke(app, ["deploy", "--yes"])
    assert refused.exit_code == ExitCode.FAILED
    assert "is the placeholder" in refused.stdout
    assert "not deployed, because of the problems above" in refused.stderr
    assert CliRunner().invoke(app, ["doctor"]).exit_code == ExitCode.FAILED


def test_the_suite_of_the_official_node_client_passes(instance: Instance, node_client: Path) -> None:
    run_node(node_client, "node_client.mjs", instance)


def test_twelve_batches_queue_behind_one_slot_and_all_complete(instance: Instance) -> None:
    """One batch starts the next; the emulator has no loop detection, so `RecursiveLoop` is not tested."""
    batches = [instance.create(requests(5)) for _ in range(12)]
    ended = [instance.wait(batch.id, seconds=120) for batch in batches]
    assert {batch.status for batch in ended} == {"completed"}
    assert {batch.request_counts.completed for batch in ended if batch.request_counts} == {5}


def test_a_batch_of_two_models_is_answered_by_two_upstreams(instance: Instance, second: MockUpstream) -> None:
    lines = requests(20).splitlines(keepends=True)
    lines[::2] = [line.replace(b"mock-small", b"rehearsal-fast") for line in lines[::2]]
    batch = instance.wait(instance.create(b"".join(lines)).id, seconds=120)
    assert (batch.status, batch.request_counts and batch.request_counts.completed) == ("completed", 20)
    assert batch.output_file_id is not None
    output = instance.client.files.content(batch.output_file_id).text.splitlines()
    assert [json.loads(line)["custom_id"] for line in output] == [f"request-{number}" for number in range(20)]
    statistics = second.statistics()
    assert (statistics["requests"], statistics["max_in_flight"]) == (10, SECOND_LIMIT)


def test_a_revoked_key_is_rejected(instance: Instance) -> None:
    key = create_key("short-lived")
    listed = nightlane("keys", "list", "--tenant", "short-lived", "--stack", STACK)
    (row,) = [line for line in listed.splitlines() if key[-4:] in line]
    nightlane("keys", "revoke", row.split()[1], "--stack", STACK)
    with (
        openai.OpenAI(base_url=instance.base_url, api_key=key) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.batches.list()
    assert caught.value.code == "invalid_api_key"


def test_an_unknown_path_gets_openais_error_envelope(instance: Instance) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        instance.client.get("/nonsense", cast_to=object)
    assert set(json.loads(caught.value.response.text)["error"]) == {"message", "type", "param", "code"}
