"""nightlane destroy: deletes a deployed stack, after it has said what is deleted and what is kept."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..aws_session import aws_errors
from ..deployed_stack import BUCKET_OUTPUT, TABLE_OUTPUT, DeployedStack
from ..errors import CommandError
from .account import Account
from .cdk import Cdk
from .checkout import Checkout
from .configuration import read_configuration
from .options import Config, ExitCode, command_errors, existing_stack
from .status import read_status

RETAIN = ("Retain", "RetainExceptOnCreate")


def destroy(
    config: Config = None,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="STACK", help="The name of the stack, instead of being asked for it."),
    ] = None,
) -> None:
    """Delete the stack. Says what is kept, and asks for the name of the stack.

    Exit code: 0; 1 it failed, or the stack is protected; 2 usage error; 3 declined.
    """
    console = Console(soft_wrap=True)
    with command_errors():
        checkout = Checkout.find()
        configuration = read_configuration(config or checkout.config)
        account, name = Account(), configuration.deployment.stack_name
        stack = existing_stack(account, name)
        kept = _is_kept(account, name)
        _explain(console, account, stack, is_kept=kept)
        if stack.is_protected:
            raise CommandError(_protected(name))
        given = confirm if confirm is not None else typer.prompt("\nThe name of the stack, to delete it")
        if given != name:
            typer.echo(f"{given!r} is not {name}: nothing was deleted", err=True)
            raise typer.Exit(ExitCode.DECLINED)
        checkout.install_tools()
        context = {} if configuration.path == checkout.config else configuration.context
        cdk = Cdk(checkout, context, account.region, console)
        # What the template says does not matter any more.
        if not cdk.has_made(name):
            cdk.synthesise()
        if not kept and (bucket := stack.outputs.get(BUCKET_OUTPUT)):
            # CloudFormation does not delete a bucket with objects.
            console.print(f"deleted {empty(account, bucket)} objects of {bucket}", highlight=False)
        cdk.destroy(name)
        console.print(f"[green]deleted[/] {name}", highlight=False)


def empty(account: Account, bucket: str) -> int:
    """Delete all objects of a bucket without versions; returns their number. Raises: CommandError."""
    client, deleted = account.clients.s3, 0
    with aws_errors():
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys: Any = [{"Key": each["Key"]} for each in page.get("Contents", ())]
            if keys:
                answer = client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                if answer.get("Errors"):
                    raise CommandError(f"not deleted from {bucket}: {answer['Errors'][0]}")
            deleted += len(keys)
    return deleted


def _is_kept(account: Account, stack: str) -> bool:
    """Whether the deployed template keeps table and bucket when the stack is deleted."""
    with aws_errors():
        body: Any = account.client("cloudformation").get_template(StackName=stack)["TemplateBody"]
    if not isinstance(body, dict):
        raise CommandError(f"the template of {stack} is not JSON: is it a Nightlane stack?")
    policies = [
        each.get("DeletionPolicy")
        for each in body["Resources"].values()
        if each["Type"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket")
    ]
    return bool(policies) and all(each in RETAIN for each in policies)


def _explain(console: Console, account: Account, stack: DeployedStack, *, is_kept: bool) -> None:
    found = read_status(account, stack, None)
    console.print(f"[bold]{stack.name}[/] in {account.region}: {stack.status}", highlight=False)
    if found.batches_running or found.batches_waiting:
        console.print(
            f"[yellow]{found.batches_running} batches are running and {found.batches_waiting} waiting[/]; "
            "let them end, or cancel them",
            highlight=False,
        )
    for line in _deleted_and_kept(stack, is_kept=is_kept):
        console.print(escape(line), highlight=False)


def _deleted_and_kept(stack: DeployedStack, *, is_kept: bool) -> Iterator[str]:
    table, bucket = stack.outputs.get(TABLE_OUTPUT), stack.outputs.get(BUCKET_OUTPUT)
    yield "deleted: the API and its URL, the functions, the queues with their messages, logs and alarms"
    if is_kept:
        yield f"kept:    the table {table} (batches, keys) and the bucket {bucket} (files)"
    else:
        yield f"deleted: the table {table} (batches, keys) and the bucket {bucket} (files), with all data"
    yield "kept:    the endpoints' secrets, API Gateway's CloudWatch role, metrics, and the stack CDKToolkit"


def _protected(name: str) -> str:
    remove = "aws cloudformation update-termination-protection --no-enable-termination-protection"
    return (
        f"the stack {name} is protected. To delete it with its data, set deletion_protection to false in "
        "cdk.json, and run `nightlane deploy`. To delete it and keep table and bucket, run\n"
        f"{remove} --stack-name {name}\nThen run `nightlane destroy` again."
    )
