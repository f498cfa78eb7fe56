"""Least privilege, both ways: the roles allow what the functions do in the tests, and not much more.

Every test that runs handlers records their accesses. `make test` runs this file after all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.permissions import Target
from infra.resources import QUEUES, functions
from nightlane.settings import Settings
from tests.conftest import AWS_CALLS
from tests.infra.conftest import Synthesise, Template, as_list
from tests.rig.accesses import TEAM_BUCKET, Access, read_accesses

FUNCTIONS = tuple(spec.name for spec in functions(Settings()))
# Allowed for Lambda itself, so no handler makes these calls.
USED_BY_LAMBDA = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
}
# S3 checks it when an object does not exist, to return 404 instead of 403.
CHECKED_BY_S3 = {"s3:ListBucket"}


@dataclass(frozen=True, order=True)
class Allowance:
    """One action that a role allows, and a pattern for what it is allowed on."""

    function: str
    action: str
    target: str
    pattern: str

    def covers(self, access: Access) -> bool:
        return (access.function, access.action, access.target) == (
            self.function,
            self.action,
            self.target,
        ) and fnmatchcase(access.on, self.pattern)


@pytest.fixture(scope="module")
def seen() -> set[Access]:
    accesses = read_accesses(Path(AWS_CALLS))
    missing = set(FUNCTIONS) - {access.function for access in accesses}
    assert not missing, f"no test ran {missing}: `make test` runs all tests first"
    return accesses


@pytest.fixture(scope="module")
def allowances(synthesise: Synthesise) -> set[Allowance]:
    template = synthesise(
        upstreams=[{"url": "https://a.test/v1", "auth": {"secret": "acme/models"}}],
        s3_inputs=[f"s3://{TEAM_BUCKET}/in/"],
        s3_outputs=[f"s3://{TEAM_BUCKET}/out/"],
        event_bus="acme-events",
    )
    return {allowance for name in FUNCTIONS for allowance in _allowances(template, name)}


def test_every_access_of_a_function_is_allowed_by_its_role(
    seen: set[Access], allowances: set[Allowance]
) -> None:
    refused = {access for access in seen if not any(each.covers(access) for each in allowances)}
    assert refused == set()


def test_everything_that_a_role_allows_is_used(seen: set[Access], allowances: set[Allowance]) -> None:
    unused = {each for each in allowances if not any(each.covers(access) for access in seen)}
    for each in sorted(unused):
        print(f"never used by a handler: {each.function} {each.action} on {each.target} {each.pattern}")
    assert {each.action for each in unused} <= USED_BY_LAMBDA | CHECKED_BY_S3


def _allowances(template: Template, function: str) -> Iterator[Allowance]:
    for statement in template.statements(function):
        assert statement["Effect"] == "Allow"
        keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
        for resource in as_list(statement["Resource"]):
            target, pattern = _resource(template, resource)
            for action in as_list(statement["Action"]):
                for key in as_list(keys) if target == Target.TABLE else [pattern]:
                    yield Allowance(function, action, target, key)


def _resource(template: Template, resource: Any) -> tuple[str, str]:
    """The target and the pattern that an ARN in the template covers."""
    text = _text(resource)
    head, _, rest = text.partition("/")
    kinds = {name: each["Type"] for name, each in template.body["Resources"].items()}
    match kinds.get(head):
        case "AWS::DynamoDB::Table":
            return (Target.INDEX, rest.removeprefix("index/")) if rest else (Target.TABLE, "")
        case "AWS::S3::Bucket":
            return (Target.OBJECTS, rest) if rest else (Target.BUCKET, "")
        case "AWS::SQS::Queue":
            return Target.QUEUE, _queue(template, head)
    if ":s3:::" in text:
        location = text.split(":s3:::")[1]
        return (Target.S3_INPUTS if "/in/" in location else Target.S3_OUTPUTS), location
    if ":event-bus/" in text:
        return Target.EVENT_BUS, text.rsplit("/", 1)[1]
    return (Target.UPSTREAM_KEY, "acme/models") if "secretsmanager" in text else ("other", text)


def _text(value: Any) -> str:
    """An ARN with logical ids instead of the values that CloudFormation fills in."""
    if isinstance(value, str):
        return value
    if "Fn::GetAtt" in value:
        return str(value["Fn::GetAtt"][0])
    if "Ref" in value:
        return str(value["Ref"])
    return "".join(_text(part) for part in value["Fn::Join"][1])


def _queue(template: Template, logical_id: str) -> str:
    variables = template.function("plan")["Environment"]["Variables"]
    queues = template.of_type("AWS::SQS::Queue")
    for queue in QUEUES:
        name = variables[f"NIGHTLANE_{queue.name.upper()}_QUEUE_URL"]["Ref"]
        if logical_id == name:
            return queue.name
        if queues[name]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0] == logical_id:
            return queue.dead_letters
    raise AssertionError(logical_id)
