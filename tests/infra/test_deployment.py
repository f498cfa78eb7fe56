"""An invalid context is reported line by line; cdk-nag and cfn-lint find nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_sqs as sqs
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs

from infra.deploy.deployment import MAX_ON_AWS, BadContext, Deployment
from infra.deploy.nag import enforce_aws_solutions
from tests.infra.conftest import BEDROCK, UPSTREAM, Synthesise, Template

pytestmark = pytest.mark.xdist_group("cdk")
# The CDK writes a DependsOn besides the reference from a function to its role's policy.
CAUSED_BY_CDK = "W3005"
DOMAIN = {"name": "batch.acme.test", "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1"}


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (None, "nightlane: the context in cdk.json needs an object of this name"),
        ("{", "nightlane: not JSON"),
        ({}, "nightlane.upstreams: Field required"),
        ({"upstreams": [{"url": "models.test"}]}, "nightlane.upstreams.0.url: an endpoint is a URL"),
        ({"upstreams": [{"url": ""}]}, "nightlane.upstreams.0.url: an endpoint is a URL"),
        ({"upstreams": [{"url": "https://k:sk@a.test/v1"}]}, "must not contain credentials"),
        (
            UPSTREAM | {"max_concurrent_batches": 0},
            "nightlane.max_concurrent_batches: Input should be greater",
        ),
        (UPSTREAM | {"max_concurent_batches": 2}, "nightlane.max_concurent_batches: Extra inputs"),
        (UPSTREAM | {"upstream_key": "sk-1"}, "nightlane.upstream_key: Extra inputs"),
        (
            UPSTREAM | {"upstream_timeout_seconds": 900},
            "nightlane.upstream_timeout_seconds: Input should be less than or equal to 840",
        ),
        (
            UPSTREAM | {"completion_window_seconds": 2_592_000},
            "nightlane.completion_window_seconds: the maximum on AWS is 1209600: SQS keeps a message for 14",
        ),
        (
            UPSTREAM | {"extra_endpoints": ["/v1/rerank", "v1/score"]},
            "nightlane.extra_endpoints.1: String should match pattern",
        ),
        (
            UPSTREAM | {"max_upload_bytes": 10_000_000},
            "nightlane.max_upload_bytes: the maximum on AWS is 4650000",
        ),
        (
            UPSTREAM | {"max_inline_content_bytes": 5_000_000},
            "nightlane.max_inline_content_bytes: the maximum on AWS is",
        ),
        (UPSTREAM | {"table_name": "mine"}, "nightlane.table_name: Extra inputs"),
        (UPSTREAM | {"log_retention_days": 2}, "nightlane.log_retention_days: Input should be 1, 3,"),
        (UPSTREAM | {"monitoring": "none"}, "nightlane.monitoring: Input should be 'full' or 'lean'"),
        (UPSTREAM | {"alarm_topic_arn": "pager"}, "nightlane.alarm_topic_arn: String should match"),
        (
            UPSTREAM | {"domain": DOMAIN, "vpc_endpoint_ids": ["vpce-0123456789abcdef0"]},
            "nightlane.domain needs a public API",
        ),
        (
            UPSTREAM | {"max_concurrent_batches": 20, "max_concurrent_requests_per_batch": 10_000},
            "is 2000, and one event source runs at most 1000 workers: raise requests_in_flight_per_worker",
        ),
    ],
)
def test_an_invalid_context_is_refused_with_the_name_of_the_value(context: Any, message: str) -> None:
    with pytest.raises(BadContext) as refusal:
        Deployment.from_context(context)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", MAX_ON_AWS)
def test_a_value_too_large_for_aws_is_valid_on_one_machine(name: str) -> None:
    limit, _ = MAX_ON_AWS[name]
    assert Deployment.from_context(UPSTREAM | {name: limit})
    with pytest.raises(BadContext, match=name):
        Deployment.from_context(UPSTREAM | {name: limit + 1})
    deployment = Deployment.from_context(UPSTREAM | {name: limit + 1}, on_aws=False)
    assert getattr(deployment.settings, name) == limit + 1


def test_the_context_in_the_repository_is_valid() -> None:
    context = json.loads(Path("cdk.json").read_text())["context"]["nightlane"]
    assert Deployment.from_context(context) == Deployment.from_context(json.dumps(context))


def test_a_finding_of_cdk_nag_without_a_reason_stops_synthesis(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "Lax")
    queue = sqs.Queue(stack, "Queue")
    enforce_aws_solutions(app, stack, queue)
    with pytest.raises(RuntimeError, match="AwsSolutions-SQS4"):
        app.synth()


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"monitoring": "lean"},
        {
            "max_concurrent_requests_per_batch": 1_000,
            "upstreams": [
                {"name": "a", "url": "http://a/v1", "models": ["a-*"], "auth": {"secret": "k"}},
                BEDROCK,
            ],
        },
    ],
)
def test_cfn_lint_finds_nothing(synthesise: Synthesise, context: dict[str, Any]) -> None:
    template: Template = synthesise(**context)
    findings = lint_file(template.path, config=ManualArgs())
    assert {f"{each.rule.id} {each.message}" for each in findings if each.rule.id != CAUSED_BY_CDK} == set()
    assert findings, "cfn-lint checked nothing"
