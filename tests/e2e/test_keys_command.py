"""`nightlane keys` against CloudFormation and DynamoDB in a moto server."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from rich.text import Text
from typer.testing import CliRunner, Result

from infra.cli.app import app
from nightlane.aws.clients import Clients
from nightlane.aws.table.keys import DynamoKeys
from nightlane.domain.keys import ApiKey
from tests.rig.provision import create_table

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.rig.moto"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture(autouse=True)
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an operator's shell, without this machine's own AWS settings."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "100",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def clients(environment: None) -> Clients:
    return Clients(boto3.Session(region_name=REGION))


@pytest.fixture
def table(clients: Clients) -> str:
    name = f"table-{uuid.uuid4().hex}"
    create_table(clients, name)
    return name


def deploy(stack: str, outputs: dict[str, str]) -> None:
    topic = {"Type": "AWS::SNS::Topic"}
    template = {
        "Resources": {"Topic": topic},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    client: Any = boto3.Session(region_name=REGION).client("cloudformation")
    client.create_stack(StackName=stack, TemplateBody=json.dumps(template))


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def refused(*arguments: str) -> str:
    """Run a command that exits with 1, and return its error message."""
    result = keys(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.removesuffix("\n")


def misused(*arguments: str) -> str:
    """Run a command that exits with a usage error, and return the message without its frame."""
    result = keys(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    return " ".join(Text.from_ansi(result.stderr).plain.replace("│", " ").split())


def test_keys_are_created_listed_and_revoked_in_a_stack(clients: Clients, table: str) -> None:
    deploy("Nightlane", {"ApiUrl": "https://example.com/v1", "TableName": table})
    created = keys("create", "--tenant", "acme", "--name", "ci [nightly]")
    assert created.exit_code == 0
    secret = created.stdout.removesuffix("\n")
    assert secret.startswith("sk-nightlane-")
    assert secret not in created.stderr
    store = DynamoKeys(clients.dynamodb, table)
    assert store.tenant_of(secret) == "acme"

    (key,) = store.list_keys()
    assert created.stderr == f"Key {key.id} of tenant acme. Save the key now: it cannot be shown again.\n"
    listed = keys("list").stdout
    for shown in (key.id, "acme", "ci [nightly]", secret[-4:], "created (UTC)"):
        assert shown in listed
    assert secret not in listed

    revoked = keys("revoke", key.id)
    assert (revoked.exit_code, revoked.stdout) == (0, f"revoked {key.id} of tenant acme 'ci [nightly]'\n")
    assert "up to 5 minutes" in revoked.stderr
    assert store.tenant_of(secret) is None


def test_create_prints_only_the_key_to_standard_output(clients: Clients, table: str) -> None:
    command = [sys.executable, "-m", "infra.cli.app", "keys", "create", "--tenant", "acme", "--table", table]
    secret = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).removesuffix("\n")
    assert DynamoKeys(clients.dynamodb, table).tenant_of(secret) == "acme"


def test_the_list_can_be_for_one_tenant_and_can_be_empty(table: str) -> None:
    for tenant in ("acme", "other"):
        assert keys("create", "--tenant", tenant, "--table", table).exit_code == 0
    listed = keys("list", "--tenant", "acme", "--table", table).stdout
    assert "acme" in listed
    assert "other" not in listed
    nothing = keys("list", "--tenant", "nobody", "--table", table)
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "no keys of tenant nobody\n")


def test_the_id_is_complete_even_in_a_narrow_terminal(
    clients: Clients, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert keys("create", "--tenant", "a" * 64, "--name", "n" * 100, "--table", table).exit_code == 0
    (key,) = DynamoKeys(clients.dynamodb, table).list_keys()
    assert key.id in keys("list", "--table", table).stdout


def test_an_id_must_identify_exactly_one_key(clients: Clients, table: str) -> None:
    store = DynamoKeys(clients.dynamodb, table)
    for number in (1, 2):
        sha256 = f"abcd{number:060d}"
        store.create_key(ApiKey(sha256=sha256, tenant=f"t{number}", name="", created_at=number, ends_with=""))
    assert refused("revoke", "ffff", "--table", table) == "no key has the id ffff"
    assert refused("revoke", "abcd", "--table", table) == (
        "2 keys have an id that begins with abcd:\n  abcd00000000 of tenant t1\n  abcd00000000 of tenant t2"
    )
    assert len(list(store.list_keys())) == 2
    assert keys("revoke", f"abcd{1:060d}", "--table", table).exit_code == 0
    (left,) = store.list_keys()
    assert left.tenant == "t2"


@pytest.mark.parametrize("text", ["abc", "sk-nightlane-secret", "g" * 12, "ABCD"])
def test_an_invalid_id_is_a_usage_error_and_is_not_echoed(text: str) -> None:
    message = misused("revoke", text)
    assert "an id is 4 to 64 hexadecimal digits" in message
    assert text not in message.split()


def test_an_invalid_tenant_or_name_is_a_usage_error() -> None:
    assert "a tenant must be 1 to 64 characters of" in misused("create", "--tenant", "a/b")
    assert "a name must be at most 100 printable" in misused("create", "--tenant", "a", "--name", "n" * 101)
    assert "Missing option '--tenant'" in misused("create")


def test_a_missing_stack_or_table_is_reported_by_name() -> None:
    assert refused("list", "--stack", "Nowhere") == (
        "no stack named Nowhere in eu-west-1: pass --stack or --table"
    )
    for command in (["create", "--tenant", "acme"], ["list"], ["revoke", "abcd"]):
        assert refused(*command, "--table", "nowhere") == "no table named nowhere in eu-west-1"


def test_a_stack_of_something_else_is_reported() -> None:
    deploy("Other", {"Url": "https://example.com"})
    assert refused("list", "--stack", "Other") == (
        "the stack Other has no output TableName: is it a fully deployed Nightlane stack?"
    )


def test_a_table_with_another_schema_is_refused_with_the_error_of_aws(clients: Clients) -> None:
    name = f"table-{uuid.uuid4().hex}"
    clients.dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert refused("create", "--tenant", "acme", "--table", name).startswith("AWS refused PutItem: ")


@pytest.mark.parametrize("where", [["--table", "any"], ["--stack", "any"]])
def test_missing_or_invalid_aws_settings_are_reported(
    where: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.delenv("AWS_REGION")
        assert refused("list", *where).startswith("no AWS region: set AWS_REGION")
        # boto3's own variable for the region is accepted, too.
        without.setenv("AWS_DEFAULT_REGION", "eu-north-1")
        assert refused("list", *where).startswith("no ")
        assert "eu-north-1" in refused("list", *where)
    with monkeypatch.context() as without:
        without.delenv("AWS_ACCESS_KEY_ID")
        without.delenv("AWS_SECRET_ACCESS_KEY")
        assert refused("list", *where).startswith("no AWS credentials: ")
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_PROFILE", "nobody")
        assert refused("list", *where) == "The config profile (nobody) could not be found"
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_ENDPOINT_URL", "nowhere")
        assert refused("list", *where) == "Invalid endpoint: nowhere"
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert "Could not connect to the endpoint URL" in refused("list", *where)
