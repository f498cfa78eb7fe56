"""nightlane: an OpenAI-compatible Batch API in your own AWS account, or on this machine."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

# Modules of this package, imported only when they run: OpenAI's client alone takes a second to import.
COMMANDS = {
    "local": "local:local",
    "mock-upstream": "mock.command:mock_upstream",
    "run": "run:run",
    "upload": "upload:upload",
    "estimate": "estimate:estimate",
    "demo": "demo:demo",
    "backup": "backup:backup",
    "keys": "keys:keys",
    "deploy": "deploying.deploy:deploy",
    "doctor": "deploying.doctor:doctor",
    "status": "deploying.status:status",
    "destroy": "deploying.destroy:destroy",
}


class Commands(TyperGroup):
    """The commands by name."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's)
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (click's)
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"{__package__}.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            command, found = found, typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            found.command(cmd_name)(command)
        group = typer.main.get_command(found)
        group.name = cmd_name
        return group


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback(help=__doc__)
def nightlane() -> None:
    """No options are common to all commands."""


if __name__ == "__main__":
    app()
