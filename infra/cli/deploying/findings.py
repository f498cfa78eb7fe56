"""What a check finds out, and how checks are run."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.markup import escape

from ..errors import CommandError

MAX_AT_ONCE = 12


class Level(StrEnum):
    """How serious a finding is. Only a problem stops a deployment."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


MARKS = {Level.OK: "[green]ok     [/]", Level.WARNING: "[yellow]warning[/]", Level.PROBLEM: "[red]problem[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, how it is, and what to do about it."""

    name: str
    level: Level
    what: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(name: str, what: str) -> Finding:
    return Finding(name, Level.OK, what)


def warning(name: str, what: str, remedy: str = "") -> Finding:
    return Finding(name, Level.WARNING, what, remedy)


def problem(name: str, what: str, remedy: str = "") -> Finding:
    return Finding(name, Level.PROBLEM, what, remedy)


def run_checks(checks: Mapping[str, Check]) -> list[Finding]:
    """Run the checks side by side, as most of them wait; the findings are in the order of the checks."""
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        found = [pool.submit(_checked, name, check) for name, check in checks.items()]
        return [finding for each in found for finding in each.result()]


def has_problems(findings: Iterable[Finding]) -> bool:
    return any(each.level is Level.PROBLEM for each in findings)


def show(findings: Iterable[Finding], console: Console) -> None:
    """Print one line for each finding, and its remedy below it."""
    for each in findings:
        console.print(
            f"{MARKS[each.level]} [bold]{escape(each.name)}[/]: {escape(each.what)}", highlight=False
        )
        if each.remedy:
            console.print(f"        → {escape(each.remedy)}", highlight=False)


def _checked(name: str, check: Check) -> list[Finding]:
    """What could not be checked is a warning: the operator may only lack the permission to read it."""
    try:
        return list(check())
    except CommandError as error:
        return [warning(name, f"could not be checked: {error}")]
