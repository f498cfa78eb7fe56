"""nightlane doctor: checks the account, the configuration and the deployed stack."""

import typer
from rich.console import Console

from ...version import ROOT
from ..deployed_stack import URL_OUTPUT
from ..errors import CommandError
from .account import Account
from .account_checks import check_identity
from .checkout import Checkout, is_checkout
from .checks import checks_after, checks_before
from .findings import Check, Finding, has_problems, problem, run_checks, show, warning
from .options import (
    DEFAULT_STACK,
    BaseUrl,
    Config,
    ExitCode,
    Stack,
    base_url_of,
    command_errors,
    find_configuration,
)


def doctor(config: Config = None, stack: Stack = None, base_url: BaseUrl = None) -> None:
    """Check a deployment: account, settings, endpoints, stack, URL, alarms. Nothing is changed.

    Exit code: 0, also with warnings; 1 if there are problems.
    """
    with command_errors():
        findings = examine(config, stack, base_url)
    show(findings, Console(soft_wrap=True))
    raise typer.Exit(ExitCode.FAILED if has_problems(findings) else ExitCode.DONE)


def examine(config: Config, stack: str | None, base_url: str | None) -> list[Finding]:
    """Run all checks. Raises: CommandError: there is no region."""
    account, checks, found = Account(), dict[str, Check](), list[Finding]()
    identity = check_identity(account)
    try:
        configuration = find_configuration(config)
    except CommandError as error:
        configuration, found = None, [problem("settings", str(error))]
    else:
        if configuration is None:
            found = [warning("settings", "no cdk.json here: endpoints are not checked", "pass --config")]
    if has_problems([identity]):
        return [*found, identity]
    if configuration:
        checks |= checks_before(account, configuration, Checkout(ROOT) if is_checkout(ROOT) else None)
    name = stack or (configuration.deployment.stack_name if configuration else DEFAULT_STACK)
    deployed = account.stack(name)
    if deployed is None:
        found.append(problem(f"stack {name}", f"there is none in {account.region}", "run: nightlane deploy"))
    else:
        has_url = base_url or URL_OUTPUT in deployed.outputs
        url = base_url_of(account, deployed, base_url) if has_url else None
        checks |= checks_after(account, deployed, url, configuration)
    return [*found, identity, *run_checks(checks)]
