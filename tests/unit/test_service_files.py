"""The service files in docs/one-machine.md use options and settings that exist."""

import configparser
import plistlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.cli.configuration import KEY, read_settings
from infra.cli.local import local
from nightlane.settings_group import PREFIX

DOCUMENT = Path(__file__).parents[2] / "docs" / "one-machine.md"


def block(language: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"expected one block of {language}"
    return str(blocks[0])


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(block("ini").replace("\\\n", " "))
    return parser


def plist() -> dict[str, Any]:
    parsed = plistlib.loads(block("xml").encode())
    assert isinstance(parsed, dict)
    return parsed


def environment() -> dict[str, str]:
    return dict(line.split("=", 1) for line in block("dotenv").splitlines())


def parsed_options(arguments: list[str]) -> dict[str, Any]:
    """Return the options of `nightlane local`, parsed by the command itself."""
    command, name, *options = arguments
    assert (Path(command).name, name) == ("nightlane", "local")
    app = typer.Typer()
    app.command()(local)
    return dict(typer.main.get_command(app).make_context(name, options).params)


def test_the_unit_starts_the_server_with_options_that_exist() -> None:
    service = unit()["Service"]
    (key,) = re.findall(r"\$\{(\w+)\}", service["ExecStart"])
    arguments = shlex.split(service["ExecStart"].replace(f"${{{key}}}", environment()[key]))
    options = parsed_options(arguments)
    assert options["data"] == Path("/var/lib") / service["StateDirectory"]
    assert options["api_key"] == [environment()[key]]


def test_the_property_list_starts_the_server_with_options_that_exist() -> None:
    options = parsed_options(plist()["ProgramArguments"])
    assert options["data"].is_absolute()
    assert options["upstream"]


@pytest.mark.parametrize("given", [environment(), plist()["EnvironmentVariables"]], ids=["unit", "plist"])
def test_the_environment_sets_settings_that_exist(given: dict[str, str]) -> None:
    settings = read_settings({}, None, given, {"upstream_url": "http://127.0.0.1:8000/v1"})
    (upstream,) = settings.upstreams
    read = settings.to_environment() | {KEY: upstream.auth.key if upstream.auth else None}
    assert read.items() >= {k: v for k, v in given.items() if k.startswith(PREFIX)}.items()


def test_both_services_are_restarted_and_keep_the_data_private() -> None:
    assert unit()["Service"]["Restart"] == "always"
    assert plist()["KeepAlive"] is True
    assert int(unit()["Service"]["UMask"], 8) == plist()["Umask"] == 0o077
