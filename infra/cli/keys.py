"""nightlane keys: manages the API keys of a deployed stack, or of a data folder."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nightlane.domain.keys import ID_DIGITS, ApiKey, issue
from nightlane.domain.quotas import NO_QUOTA, Quota, parse_quota, show_quota
from nightlane.domain.stores import KeyStore

from ..gateway import AUTHORIZER_CACHE_SECONDS
from ..home.database import NoData, SchemaTooNew, shared_database
from ..home.defaults import USER_DATA
from ..home.files import SqliteKeys
from ..home.lock import DataInUse
from .errors import CommandError

REFUSED = 1
# Fewer digits are more likely a typing error than an id.
ID = re.compile(r"[0-9a-f]{4,64}")

keys = typer.Typer(
    help="Create, list and revoke API keys of a deployed stack or, with --data or --local, of this machine.",
    no_args_is_help=True,
)

Data = Annotated[
    Path | None,
    typer.Option(help="The data folder of `nightlane local`; it may be running.", file_okay=False),
]
Local = Annotated[bool, typer.Option("--local", help="Use the default data folder of `nightlane local`.")]
Stack = Annotated[str, typer.Option(help="The CloudFormation stack.")]
TableName = Annotated[
    str | None, typer.Option("--table", help="The DynamoDB table. Default: the stack's output TableName.")
]


@keys.command()
def create(
    tenant: Annotated[str, typer.Option(help="Owner of the files and batches created with the key.")],
    name: Annotated[str, typer.Option(help="What the key is for; shown in the list.")] = "",
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="What the tenant may use, in place of the settings `quota_…`; may be repeated. Names: "
            f"{', '.join(Quota.__struct_fields__)}. Give all keys of a tenant the same.",
        ),
    ] = None,
    stack: Stack = "Nightlane",
    table: TableName = None,
    data: Data = None,
    local: Local = False,
) -> None:
    """Create an API key and print it. It cannot be shown again: only its SHA-256 is stored."""
    try:
        secret, key = issue(tenant, name, int(time.time()), parse_quota(quota or ()))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with _store(stack, table, _folder(data, local=local), create=True) as store:
        store.create_key(key)
    typer.echo(secret)
    typer.echo(f"Key {key.id} of tenant {tenant}. Save the key now: it cannot be shown again.", err=True)


@keys.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="List only the keys of this tenant.")] = None,
    stack: Stack = "Nightlane",
    table: TableName = None,
    data: Data = None,
    local: Local = False,
) -> None:
    """List the API keys by tenant and time. The secrets themselves are not stored."""
    with _store(stack, table, _folder(data, local=local)) as store:
        found = list(store.list_keys(tenant))
    if found:
        Console().print(_rows(found))
    else:
        typer.echo("no keys" if tenant is None else f"no keys of tenant {tenant}", err=True)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As shown by `nightlane keys list`.")],
    stack: Stack = "Nightlane",
    table: TableName = None,
    data: Data = None,
    local: Local = False,
) -> None:
    """Revoke an API key. The API Gateway of a stack may accept it for a few more minutes."""
    if not ID.fullmatch(key_id):
        # The value is not printed, because it may be a key.
        raise typer.BadParameter("an id is 4 to 64 hexadecimal digits; `nightlane keys list` shows it")
    with _store(stack, table, _folder(data, local=local)) as store:
        key = _single_key(list(store.list_keys(digits=key_id)), key_id)
        if not store.revoke_key(key):
            raise CommandError(f"no key has the id {key_id}")
    typer.echo(f"revoked {_described(key)}")
    if _folder(data, local=local) is not None:
        return
    minutes = AUTHORIZER_CACHE_SECONDS // 60
    typer.echo(f"API Gateway caches keys: this one may be accepted for up to {minutes} minutes.", err=True)


def _single_key(found: list[ApiKey], key_id: str) -> ApiKey:
    match found:
        case [key]:
            return key
        case []:
            raise CommandError(f"no key has the id {key_id}")
    shown = "\n".join(f"  {_described(key)}" for key in found)
    raise CommandError(f"{len(found)} keys have an id that begins with {key_id}:\n{shown}")


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
    has_quotas = any(key.quota != NO_QUOTA for key in found)
    if has_quotas:
        table.add_column("quota", overflow="fold")
    for key in found:
        created = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        quota = [show_quota(key.quota)] if has_quotas else []
        table.add_row(key.id, escape(key.tenant), escape(key.name), escape(key.ends_with), created, *quota)
    return table


def _folder(data: Path | None, *, local: bool) -> Path | None:
    return USER_DATA if local and data is None else data


@contextmanager
def _store(stack: str, table: str | None, data: Path | None, *, create: bool = False) -> Iterator[KeyStore]:
    """The key store. Errors in the context end the command with a message."""
    try:
        if data is None:
            # boto3 takes a third of a second to import.
            from .deployed_keys import deployed_keys

            with deployed_keys(stack, table) as keys_of_stack:
                yield keys_of_stack
        else:
            with shared_database(data, create=create) as database:
                yield SqliteKeys(database)
    except (CommandError, DataInUse, NoData, SchemaTooNew, OSError, sqlite3.Error) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error
