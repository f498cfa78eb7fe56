"""nightlane deploy: the CDK CLI, with what people miss checked before it and a batch after it."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nightlane.aws.table.keys import DynamoKeys

from ..aws_session import aws_errors
from ..deployed_stack import TABLE_OUTPUT, DeployedStack
from ..errors import CommandError
from .account import Account
from .account_checks import check_identity
from .cdk import Cdk
from .changes import Changes
from .checkout import Checkout
from .checks import checks_before
from .configuration import Configuration, read_configuration
from .findings import has_problems, run_checks, show
from .one_line import TENANT, answer_one_line, temporary_key
from .options import (
    PATIENCE_SECONDS,
    BaseUrl,
    Config,
    ExitCode,
    Model,
    Patience,
    Tenant,
    base_url_of,
    command_errors,
    existing_stack,
    must_be_asked,
)


def deploy(
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare; change nothing.")] = False,
    ignore_problems: Annotated[
        bool, typer.Option("--ignore-problems", help="Deploy even if a check finds a problem.")
    ] = False,
    test: Annotated[bool, typer.Option(help="Run a batch of one line in the end.")] = True,
    model: Model = None,
    tenant: Tenant = TENANT,
    patience: Patience = PATIENCE_SECONDS,
    base_url: BaseUrl = None,
) -> None:
    """Deploy Nightlane into your AWS account: check, show what would change, ask, deploy, run a batch.

    Needs a checkout, AWS credentials and a region. Exit code: 0; 1 a check found a problem, or the deployment
    failed; 2 usage error; 3 declined; 4 deployed, but the one-line batch failed.
    """
    console = Console(soft_wrap=True)
    with command_errors():
        checkout = Checkout.find()
        configuration = read_configuration(config or checkout.config)
        account = Account()
        number = _check(console, account, configuration, checkout, ignore_problems=ignore_problems)
        checkout.install_tools()
        # The CDK reads the checkout's own file by itself.
        context = {} if configuration.path == checkout.config else configuration.context
        cdk, name = Cdk(checkout, context, account.region, console), configuration.deployment.stack_name
        cdk.synthesise()
        _preview(console, cdk.changes(name), account.stack(name), name)
        if dry_run:
            console.print("dry run: nothing was changed")
            return
        if not yes:
            _ask(f"Deploy {name} to the account {number} in {account.region}?")
        _bootstrap(cdk, account, number, console, yes=yes)
        cdk.deploy(name)
        stack = existing_stack(account, name)
        url = base_url_of(account, stack, base_url)
        console.print(f"\n[green]deployed[/] {name}\nbase URL: [bold]{url}[/]", highlight=False)
        console.print(f"create a key: nightlane keys create --tenant TENANT --stack {name}", highlight=False)
        if test and configuration.deployment.vpc_endpoint_ids and base_url is None:
            console.print("the API is private, so no batch is run: pass --base-url where it can be reached")
        elif test:
            _run_one_line(console, account, stack, url, model, tenant, patience)


def _run_one_line(
    console: Console,
    account: Account,
    stack: DeployedStack,
    url: str,
    model: str | None,
    tenant: str,
    patience: float,
) -> None:
    """Run a batch of one line and print its answer. Raises: typer.Exit: there was none."""
    try:
        with (
            aws_errors(),
            temporary_key(DynamoKeys(account.clients.dynamodb, stack.output(TABLE_OUTPUT)), tenant) as key,
        ):
            answer = answer_one_line(url, key, model, patience, lambda text: console.print(escape(text)))
    except CommandError as error:
        console.print(f"[red]the one-line batch failed[/]: {escape(str(error))}", highlight=False)
        console.print("the stack is deployed; `nightlane doctor` checks it")
        raise typer.Exit(ExitCode.TEST_FAILED) from error
    console.print(f"answer: {escape(answer)}", highlight=False)


def _check(
    console: Console,
    account: Account,
    configuration: Configuration,
    checkout: Checkout,
    *,
    ignore_problems: bool,
) -> str:
    """Run the checks and show them; returns the number of the account. Raises: CommandError."""
    identity = check_identity(account)
    show([identity], console)
    if has_problems([identity]):
        raise CommandError("without credentials nothing else can be checked")
    findings = run_checks(checks_before(account, configuration, checkout))
    show(findings, console)
    if has_problems(findings) and not ignore_problems:
        raise CommandError("not deployed, because of the problems above; --ignore-problems deploys anyway")
    return account.identity().account


def _preview(console: Console, changes: Changes, deployed: DeployedStack | None, name: str) -> None:
    """Show what the deployment would change."""
    if deployed is None or deployed.is_empty:
        console.print(f"\n{name} will be created: {changes.summary}", highlight=False)
        return
    console.print(f"\n{name} will be changed: {changes.summary}", highlight=False)
    for each in changes.replaced:
        console.print(f"  replaced: {escape(each)}", highlight=False)
    for each in changes.losing_data:
        console.print(f"  [red]its data is not carried over[/]: {escape(each)}", highlight=False)
    if changes.permissions:
        console.print(escape(changes.permissions), highlight=False)


def _bootstrap(cdk: Cdk, account: Account, number: str, console: Console, *, yes: bool) -> None:
    """Make the CDK's own stack, if it is missing."""
    try:
        if account.bootstrap_version() is not None:
            return
    except CommandError as error:
        console.print(f"[yellow]assuming that the account is bootstrapped[/]: {escape(str(error))}")
        return
    if not yes:
        _ask(f"Bootstrap the CDK in {account.region} (a stack CDKToolkit with a bucket and roles) first?")
    cdk.bootstrap(number, account.region)


def _ask(question: str) -> None:
    """Raises: typer.Exit: the answer is no."""
    must_be_asked()
    if not typer.confirm(question):
        raise typer.Exit(ExitCode.DECLINED)
