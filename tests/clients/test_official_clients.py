"""Two major versions of each official client, at home and on the rig, with one suite for each language."""

import pytest

from tests.clients.environments import node_modules_with, python_with
from tests.clients.suites import run_node, run_python
from tests.e2e.conftest import Instance, instance  # noqa: F401

PYTHON = ["2.54.0", "3.57.0"]
NODE = ["6.49.0", "7.57.0"]


@pytest.mark.parametrize("version", PYTHON)
def test_the_python_client(version: str, instance: Instance) -> None:  # noqa: F811
    run_python(python_with(f"openai=={version}", "pytest==9.1.1"), "python_client.py", instance)


@pytest.mark.parametrize("version", NODE)
def test_the_node_client(version: str, instance: Instance) -> None:  # noqa: F811
    run_node(node_modules_with(f"openai@{version}"), "node_client.mjs", instance)
