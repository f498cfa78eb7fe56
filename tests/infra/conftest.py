"""The synthesised template, for any context."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

# jsii starts Node when aws_cdk is imported.
os.environ.setdefault("JSII_NODE", str(Path(sys.prefix) / "bin" / "node"))

from aws_cdk import App

from infra.deploy.deployment import Deployment
from infra.deploy.layers import Code
from infra.deploy.nag import enforce_aws_solutions
from infra.deploy.stack import NightlaneStack

UPSTREAM = {"upstreams": [{"url": "https://models.acme.test/v1"}]}
BEDROCK = {
    "name": "bedrock",
    "url": "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
    "models": ["openai.gpt-oss-*"],
    "auth": {"aws": {"service": "bedrock"}},
}
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:inference/key-AbCdEf"
Synthesise = Callable[..., "Template"]


@dataclass(frozen=True)
class Template:
    """A synthesised template."""

    path: Path

    @cached_property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.path.read_text())
        return body

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties by logical id."""
        resources = self.body["Resources"].items()
        return {name: each.get("Properties", {}) for name, each in resources if each["Type"] == kind}

    def function(self, name: str) -> dict[str, Any]:
        (function,) = [
            each
            for each in self.of_type("AWS::Lambda::Function").values()
            if each["Handler"] == f"functions.{name}.handler.handler"
        ]
        return function

    def name_of(self, function: str) -> str:
        """The logical id of a function."""
        functions = self.of_type("AWS::Lambda::Function").items()
        return next(name for name, each in functions if each is self.function(function))

    def mappings(self, function: str) -> list[dict[str, Any]]:
        """The event-source mappings of a function."""
        mappings = self.of_type("AWS::Lambda::EventSourceMapping").values()
        return [each for each in mappings if each["FunctionName"] == {"Ref": self.name_of(function)}]

    def statements(self, function: str) -> list[dict[str, Any]]:
        """What the role of a function allows."""
        role = self.function(function)["Role"]["Fn::GetAtt"][0]
        policies = self.of_type("AWS::IAM::Policy").values()
        return [
            statement
            for policy in policies
            if {"Ref": role} in policy["Roles"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]


def as_list(value: Any) -> list[Any]:
    """The value as a list: in IAM policies a list of one may be just its item."""
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Synthesise a context with cdk-nag enforced and with empty code; each context only once."""
    empty = tmp_path_factory.mktemp("code")
    (empty / "empty.txt").write_text("Nothing runs in these tests.")
    templates: dict[str, Template] = {}

    def synthesise_once(**context: Any) -> Template:
        key = json.dumps(context, sort_keys=True)
        if key not in templates:
            folder = tmp_path_factory.mktemp("cdk.out")
            app = App(outdir=str(folder))
            deployment = Deployment.from_context(UPSTREAM | context)
            stack = NightlaneStack(app, deployment=deployment, code=Code(empty, empty, empty))
            enforce_aws_solutions(app, stack, stack.bucket, stack.model_arns, stack.location_arns)
            app.synth()
            templates[key] = Template(folder / f"{stack.stack_name}.template.json")
        return templates[key]

    return synthesise_once


@pytest.fixture(scope="session")
def lean(synthesise: Synthesise) -> Template:
    """The template of a stack with lean monitoring."""
    return synthesise(monitoring="lean")


@pytest.fixture(scope="session")
def template(synthesise: Synthesise) -> Template:
    """The template with default settings."""
    return synthesise()
