"""The checks of `nightlane deploy` and `doctor`, against moto and real HTTP."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from aiohttp import web
from moto import mock_aws

from infra.cli.deploying.account import Account
from infra.cli.deploying.account_checks import check_identity
from infra.cli.deploying.destroy import empty
from infra.cli.deploying.findings import Finding, Level
from infra.cli.deploying.stack_checks import check_alarms, check_api
from infra.cli.deploying.upstream_checks import check_upstream, read_key
from infra.gateway import ACCESS_DENIED, UNAUTHORIZED
from infra.home.serving import serving_application
from nightlane.upstream_settings import UpstreamSettings
from tests.upstream import Upstream

REGION = "eu-west-1"
MODELS = {"object": "list", "data": [{"id": "llama"}]}
NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with mock_aws():
        yield Account(boto3.Session(region_name=REGION))


def levels(found: Iterator[Finding]) -> list[Level]:
    return [each.level for each in found]


def store(account: Account, name: str, **value: Any) -> str:
    account.client("secretsmanager").create_secret(Name=name, **value)
    return name


def with_key(url: str, secret: str) -> UpstreamSettings:
    return UpstreamSettings.model_validate({"url": url, "auth": {"secret": secret}})


def test_credentials_are_named_with_their_region(account: Account) -> None:
    found = check_identity(account)
    assert found.level is Level.OK
    assert found.what.endswith("in eu-west-1")


def test_a_secret_must_be_a_key_that_can_be_sent(account: Account) -> None:
    found, key = read_key(store(account, "good", SecretString="sk-1\n"), account)
    assert (found.level, key) == (Level.OK, "sk-1")
    found, key = read_key("nowhere", account)
    assert (found.level, key) == (Level.PROBLEM, None)
    assert found.remedy == 'aws secretsmanager create-secret --name nowhere --secret-string "$KEY"'
    elsewhere = "arn:aws:secretsmanager:us-east-1:123456789012:secret:inference/key-AbCdEf"
    assert "it is in us-east-1, and the stack in eu-west-1" in read_key(elsewhere, account)[0].what
    for name, value, reason in (
        ("json", {"SecretString": '{"key": "sk-1"}'}, "it is JSON"),
        ("binary", {"SecretBinary": b"sk-1"}, "it is binary"),
        ("blank", {"SecretString": " "}, "it is empty"),
        ("lines", {"SecretString": "sk-1\nsk-2"}, "on a single line"),
        ("kms", {"SecretString": "sk-1", "KmsKeyId": "alias/ours"}, "the KMS key alias/ours"),
    ):
        found, key = read_key(store(account, name, **value), account)
        assert (found.level, key) == (Level.PROBLEM, None)
        assert reason in found.what


def test_an_endpoint_is_asked_with_its_key_and_what_functions_cannot_reach_is_said(
    account: Account, upstream: Upstream
) -> None:
    secret = store(account, "endpoint/key", SecretString="sk-1")
    upstream.models = lambda _: web.json_response(MODELS)
    found = list(check_upstream(with_key(upstream.url, secret), account, in_vpc=False))
    assert [each.level for each in found] == [Level.OK, Level.OK, Level.WARNING]
    assert "lists llama" in found[1].what
    assert "functions outside a VPC cannot connect to it" in found[2].what
    assert levels(check_upstream(with_key(upstream.url, secret), account, in_vpc=True)) == [Level.OK] * 2


def test_an_endpoint_whose_key_is_missing_is_not_asked(account: Account, upstream: Upstream) -> None:
    found = check_upstream(with_key(upstream.url, "nowhere"), account, in_vpc=False)
    assert levels(found) == [Level.PROBLEM]


def test_an_endpoint_that_cannot_be_reached_from_here_may_be_in_the_vpc(account: Account) -> None:
    upstream = UpstreamSettings(url=NOBODY)
    (found,) = check_upstream(upstream, account, in_vpc=False)
    assert (found.level, "its address is not public" in found.remedy) == (Level.PROBLEM, True)
    assert "Connection refused" in found.what
    (found,) = check_upstream(upstream, account, in_vpc=True)
    assert (found.level, "may reach it from there" in found.remedy) == (Level.WARNING, True)
    placeholder = UpstreamSettings(url="https://inference.example.com/v1")
    assert levels(check_upstream(placeholder, account, in_vpc=True)) == [Level.PROBLEM]


def test_an_api_must_refuse_in_the_envelope_with_and_without_a_key() -> None:
    async def refuse(request: web.Request) -> web.Response:
        refusal = ACCESS_DENIED if "Authorization" in request.headers else UNAUTHORIZED
        text = refusal.render({"authorizer.message": "unknown"})
        return web.Response(text=text, status=401, content_type="application/json")

    async def forward(_: web.Request) -> web.Response:
        return web.json_response({"message": "Forbidden"}, status=403)

    app = web.Application()
    app.router.add_get("/v1/models", refuse)
    app.router.add_get("/v1/other/models", forward)
    with serving_application(app) as url:
        assert levels(check_api(url, is_private=False, has_domain=False)) == [Level.OK] * 2
        assert levels(check_api(f"{url}/other", is_private=False, has_domain=False)) == [Level.PROBLEM] * 2
    (found,) = check_api(NOBODY, is_private=False, has_domain=True)
    assert (found.level, found.remedy) == (Level.PROBLEM, "create the alias record of the domain")
    assert levels(check_api(NOBODY, is_private=True, has_domain=False)) == [Level.WARNING]


def test_only_alarms_of_the_stack_that_go_off_are_reported(account: Account) -> None:
    assert levels(check_alarms(account, "Nightlane")) == [Level.OK]
    client = account.client("cloudwatch")
    for name in ("Nightlane-LinesFail", "Nightlane-DeadLetters", "Other-LinesFail"):
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription="said",
            EvaluationPeriods=1,
            ComparisonOperator="LessThanThreshold",
        )
    for name in ("Nightlane-LinesFail", "Other-LinesFail"):
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    (found,) = check_alarms(account, "Nightlane")
    assert (found.level, found.name, found.what) == (Level.WARNING, "alarm Nightlane-LinesFail", "said")


def test_a_bucket_is_emptied_page_by_page(account: Account) -> None:
    client: Any = account.clients.s3
    client.create_bucket(Bucket="full", CreateBucketConfiguration={"LocationConstraint": REGION})
    for number in range(3):
        client.put_object(Bucket="full", Key=f"files/{number}", Body=b"")
    assert (empty(account, "full"), empty(account, "full")) == (3, 0)
