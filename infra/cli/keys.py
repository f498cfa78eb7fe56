"""nightlane keys: who may call a deployed stack."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.gateway import AUTHORIZER_CACHE_SECONDS
from nightlane.aws.clients import CONFIG, Clients
from nightlane.aws.table import DynamoKeys
from nightlane.domain.keys import ID_DIGITS, ApiKey, issue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE_OUTPUT = "TableName"
REFUSED = 1
# Fewer digits are sooner a slip than a name.
ID = re.compile(r"[0-9a-f]{4,64}")

keys = typer.Typer(help="Create, list and revoke the API keys of a deployed stack.", no_args_is_help=True)

Stack = Annotated[str, typer.Option(help="The CloudFormation stack.")]
TableName = Annotated[
    str | None, typer.Option("--table", help="The DynamoDB table; else the stack's output TableName.")
]


class Refused(Exception):
    """The command cannot do it; the message says why."""


@keys.command()
def create(
    tenant: Annotated[str, typer.Option(help="Who owns the files and batches made with the key.")],
    name: Annotated[str, typer.Option(help="What the key is for, as the list shows it.")] = "",
    stack: Stack = "Nightlane",
    table: TableName = None,
) -> None:
    """Create an API key and print it, this once; only its SHA-256 is stored."""
    try:
        secret, key = issue(tenant, name, int(time.time()))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with _store(stack, table) as store:
        store.create_key(key)
    typer.echo(secret)
    typer.echo(f"Key {key.id} of tenant {tenant}. Keep it now: it is stored nowhere else.", err=True)


@keys.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only the keys of this tenant.")] = None,
    stack: Stack = "Nightlane",
    table: TableName = None,
) -> None:
    """List the API keys, by tenant and time. The keys themselves are not known any more."""
    with _store(stack, table) as store:
        found = list(store.list_keys(tenant))
    if found:
        Console().print(_rows(found))
    else:
        typer.echo("no keys" if tenant is None else f"no keys of tenant {tenant}", err=True)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `nightlane keys list` shows it.")],
    stack: Stack = "Nightlane",
    table: TableName = None,
) -> None:
    """Revoke an API key. API Gateway may let it pass for some minutes more."""
    if not ID.fullmatch(key_id):
        # The value is not repeated: it may be a key.
        raise typer.BadParameter("an id is 4 to 64 hexadecimal digits; `nightlane keys list` shows it")
    with _store(stack, table) as store:
        key = _the_only(list(store.list_keys(digits=key_id)), key_id)
        if not store.revoke_key(key):
            raise Refused(f"no key has the id {key_id}")
    typer.echo(f"revoked {_described(key)}")
    minutes = AUTHORIZER_CACHE_SECONDS // 60
    typer.echo(f"API Gateway remembers a key for up to {minutes} minutes; until then it may pass.", err=True)


def _the_only(found: list[ApiKey], key_id: str) -> ApiKey:
    match found:
        case [key]:
            return key
        case []:
            raise Refused(f"no key has the id {key_id}")
    shown = "\n".join(f"  {_described(key)}" for key in found)
    raise Refused(f"{len(found)} keys have an id that begins with {key_id}:\n{shown}")


def _described(key: ApiKey) -> str:
    name = f" {key.name!r}" if key.name else ""
    return f"{key.id} of tenant {key.tenant}{name}"


def _rows(found: list[ApiKey]) -> Table:
    table = Table()
    table.add_column("id", no_wrap=True, min_width=ID_DIGITS)
    for heading in ("tenant", "name"):
        table.add_column(heading, overflow="fold")
    table.add_column("ends with", no_wrap=True)
    table.add_column("created (UTC)", no_wrap=True)
    for key in found:
        created = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(key.id, escape(key.tenant), escape(key.name), escape(key.ends_with), created)
    return table


@contextmanager
def _store(stack: str, table: str | None) -> Iterator[DynamoKeys]:
    """The keys of a stack; what goes wrong in here ends the command with one message."""
    name, region = table, None
    try:
        # boto3 itself reads AWS_DEFAULT_REGION alone; the AWS CLI and the other SDKs read AWS_REGION.
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
        session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        region = session.region_name
        if name is None:
            name = _table_of(stack, session)
        yield DynamoKeys(_dynamodb(session), name)
    except (Refused, BotoCoreError, ClientError) as error:
        typer.echo(_reason(error, name, region), err=True)
        raise typer.Exit(REFUSED) from error


def _table_of(stack: str, session: boto3.Session) -> str:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html"""
    with _valid_endpoint():
        client: Any = session.client("cloudformation", config=CONFIG)
    try:
        (described,) = client.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise Refused(f"no stack named {stack} in {session.region_name}: give --stack or --table") from error
    for output in described.get("Outputs", ()):
        if output["OutputKey"] == TABLE_OUTPUT:
            return str(output["OutputValue"])
    raise Refused(
        f"the stack {stack} has no output {TABLE_OUTPUT}: is it Nightlane's, and deployed to its end?"
    )


def _dynamodb(session: boto3.Session) -> "DynamoDBClient":
    with _valid_endpoint():
        return Clients(session).dynamodb


@contextmanager
def _valid_endpoint() -> Iterator[None]:
    """botocore says so of an AWS_ENDPOINT_URL that is no URL, by no error of its own."""
    try:
        yield
    except ValueError as error:
        raise Refused(str(error)) from error


def _reason(error: Exception, table: str | None, region: str | None) -> str:
    match error:
        case NoRegionError():
            return "no AWS region: set AWS_REGION, or a region in the profile of AWS_PROFILE"
        case NoCredentialsError():
            return "no AWS credentials: set AWS_PROFILE, or sign in with `aws login` or `aws sso login`"
        case ClientError(response={"Error": {"Code": "ResourceNotFoundException"}}):
            return f"no table named {table} in {region}"
        case ClientError(response={"Error": answer}):
            return f"AWS refused {error.operation_name}: {answer.get('Message') or answer.get('Code')}"
    return str(error)
