"""nightlane: an OpenAI-compatible Batch API in your own AWS account, or on this machine."""

import typer

from infra.cli.backup import backup
from infra.cli.demo import demo
from infra.cli.keys import keys
from infra.cli.local import local
from infra.cli.mock.command import mock_upstream
from infra.cli.run import run

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(local)
app.command("mock-upstream")(mock_upstream)
app.command()(run)
app.command()(demo)
app.command()(backup)
app.add_typer(keys, name="keys")

if __name__ == "__main__":
    app()
