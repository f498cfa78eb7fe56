"""What the commands have in common: options, the configuration, the URL, and how errors end them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from ...version import ROOT
from ..deployed_stack import URL_OUTPUT, DeployedStack
from ..errors import CommandError
from .account import Account
from .checkout import is_checkout
from .configuration import Configuration, read_configuration

DEFAULT_STACK = "Nightlane"
API_ID = "{api}"


class ExitCode(IntEnum):
    """How a command ended; 2 is a usage error."""

    DONE = 0
    FAILED = 1
    DECLINED = 3
    TEST_FAILED = 4


Config = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="A file like cdk.json, or with the contents of `nightlane` in it."
    ),
]
Stack = Annotated[str | None, typer.Option(help="Default: `stack_name` in cdk.json.")]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="How the API is reached from here, if not by the stack's ApiUrl; {api} stands for its id: "
        "https://{api}-vpce-0123.execute-api.eu-west-1.amazonaws.com/v1"
    ),
]
Model = Annotated[str | None, typer.Option(help="Of the one-line batch. Default: the first that chats.")]
Tenant = Annotated[str, typer.Option(help="Whose the one-line batch is. Its key is deleted afterwards.")]
Patience = Annotated[float, typer.Option(min=1, help="How long the one-line batch may take, in seconds.")]
PATIENCE_SECONDS = 180.0


@contextmanager
def command_errors() -> Iterator[None]:
    """Errors in the context end the command with their message."""
    try:
        yield
    except CommandError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.FAILED) from error


def default_config() -> Path | None:
    """cdk.json of the checkout; in an installed package that of the current folder, if there is one."""
    path = ROOT / "cdk.json" if is_checkout(ROOT) else Path("cdk.json")
    return path if path.exists() else None


def find_configuration(config: Path | None) -> Configuration | None:
    """Read the configuration; None if there is no file. Raises: CommandError: it is invalid."""
    path = config or default_config()
    return read_configuration(path) if path else None


def stack_name(given: str | None, config: Path | None) -> str:
    """The stack of the option, or of the configuration. Raises: CommandError."""
    if given is not None:
        return given
    configuration = find_configuration(config)
    return configuration.deployment.stack_name if configuration else DEFAULT_STACK


def existing_stack(account: Account, name: str) -> DeployedStack:
    """Raises: CommandError: there is none."""
    stack = account.stack(name)
    if stack is None:
        raise CommandError(f"no stack named {name} in {account.region}: `nightlane deploy` makes it")
    return stack


def base_url_of(account: Account, stack: DeployedStack, base_url: str | None) -> str:
    """The URL that reaches the API from here. Raises: CommandError."""
    if base_url is None:
        return stack.output(URL_OUTPUT)
    if API_ID in base_url:
        apis = account.resources(stack.name, "AWS::ApiGateway::RestApi").values()
        base_url = base_url.replace(API_ID, next(iter(apis), ""))
    return base_url.rstrip("/")


def must_be_asked() -> None:
    """Raises: CommandError: nobody can answer a question."""
    if not sys.stdin.isatty():
        raise CommandError("this is no terminal to ask on: pass --yes")
