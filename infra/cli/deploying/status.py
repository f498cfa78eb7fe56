"""nightlane status: what a deployed stack is doing."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nightlane.aws.table.batches import DynamoBatches

from ...deploy import camel_case
from ...resources import DEAD_LETTER_QUEUES, QUEUES
from ..aws_session import aws_errors
from ..deployed_stack import TABLE_OUTPUT, URL_OUTPUT, VERSION_OUTPUT, DeployedStack
from .account import Account
from .options import BaseUrl, Config, Stack, base_url_of, command_errors, existing_stack, stack_name

MAX_WAITING_COUNTED = 1_000
# The logical id of a queue: the constructs' ids, and eight digits of the CDK.
QUEUE = re.compile(r"Queues(?P<name>\w+?)[0-9A-F]{8}")
NAMES = {camel_case(name): name for name in (*(queue.name for queue in QUEUES), *DEAD_LETTER_QUEUES)}


@dataclass(frozen=True, slots=True)
class Queue:
    """How many messages a queue has, about."""

    name: str
    waiting: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a stack."""

    stack: str
    region: str
    state: str
    version: str | None
    base_url: str | None
    changed_at: str | None
    alarms: dict[str, str]
    batches_running: int
    batches_waiting: int
    """At most `MAX_WAITING_COUNTED`."""
    queues: tuple[Queue, ...]


def status(
    stack: Stack = None,
    config: Config = None,
    base_url: BaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a deployed stack: its state, version and URL, alarms, batches, and messages in its queues."""
    with command_errors():
        account = Account()
        found = read_status(account, existing_stack(account, stack_name(stack, config)), base_url)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _show(found, Console(soft_wrap=True))


def read_status(account: Account, stack: DeployedStack, base_url: str | None) -> Status:
    """Read the state of a stack with about fifteen calls, side by side. Raises: CommandError."""
    has_url = base_url or URL_OUTPUT in stack.outputs
    with ThreadPoolExecutor() as pool:
        alarms = pool.submit(account.alarms, stack.name)
        url = pool.submit(base_url_of, account, stack, base_url) if has_url else None
        batches = pool.submit(_batches, account, stack.outputs.get(TABLE_OUTPUT))
        queues = account.resources(stack.name, "AWS::SQS::Queue")
        counts = dict(
            zip(queues, pool.map(lambda each: _messages(account, each), queues.values()), strict=True)
        )
        running, waiting = batches.result()
        return Status(
            stack=stack.name,
            region=account.region,
            state=stack.status,
            version=stack.outputs.get(VERSION_OUTPUT),
            base_url=url.result() if url else None,
            changed_at=stack.changed_at.isoformat() if stack.changed_at else None,
            alarms=alarms.result(),
            batches_running=running,
            batches_waiting=waiting,
            queues=tuple(_by_name(counts)),
        )


def _batches(account: Account, table: str | None) -> tuple[int, int]:
    """How many batches are running and waiting."""
    if table is None:
        return 0, 0
    with aws_errors(account.region, table):
        store = DynamoBatches(account.clients.dynamodb, table)
        waiting = sum(1 for _ in islice(store.waiting_batches(), MAX_WAITING_COUNTED))
        return len(store.slots().running), waiting


def _messages(account: Account, url: str) -> tuple[int, int]:
    """How many messages are waiting and in flight in a queue, about."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    with aws_errors():
        found = account.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def _by_name(counts: dict[str, tuple[int, int]]) -> list[Queue]:
    named = {match["name"]: each for name, each in counts.items() if (match := QUEUE.fullmatch(name))}
    return [Queue(name, *named[construct]) for construct, name in NAMES.items() if construct in named]


def _show(found: Status, console: Console) -> None:
    color = "green" if found.state.endswith("COMPLETE") and "ROLLBACK" not in found.state else "red"
    console.print(f"[bold]{found.stack}[/] in {found.region}: [{color}]{found.state}[/]", highlight=False)
    for name, value in (
        ("version", found.version),
        ("base URL", found.base_url),
        ("changed", found.changed_at),
    ):
        console.print(f"{name:9} {value or 'unknown'}", highlight=False)
    waiting = f"{found.batches_waiting}{'+' if found.batches_waiting == MAX_WAITING_COUNTED else ''}"
    console.print(f"batches   {found.batches_running} running, {waiting} waiting", highlight=False)
    for name, description in found.alarms.items():
        console.print(f"[red]ALARM[/]     {escape(name)}: {escape(description)}", highlight=False)
    if not found.alarms:
        console.print("alarms    none")
    table = Table("queue", "waiting", "in flight")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in found.queues:
        is_bad = each.waiting and each.name in DEAD_LETTER_QUEUES
        table.add_row(
            each.name, f"[red]{each.waiting}[/]" if is_bad else str(each.waiting), str(each.in_flight)
        )
    console.print(table)
