"""CORS is off unless the operator names an origin; then every response allows it."""

import json

import pytest

from infra.deploy.deployment import BadContext, Deployment
from tests.infra.conftest import UPSTREAM, Synthesise, Template

pytestmark = pytest.mark.xdist_group("cdk")
ORIGIN = "https://ui.acme.test"


def rules(template: Template) -> list[tuple[list[str], list[str]]]:
    """Methods and origins of the bucket's rules."""
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    return [
        (rule["AllowedMethods"], [json.dumps(each) for each in rule["AllowedOrigins"]])
        for rule in bucket["CorsConfiguration"]["CorsRules"]
    ]


def test_by_default_pages_of_other_origins_may_not_use_the_api(template: Template) -> None:
    assert "Access-Control" not in template.path.read_text()
    ((methods, (origin,)),) = rules(template)
    (api,) = template.of_type("AWS::ApiGateway::RestApi")
    assert methods == ["GET", "PUT"]
    assert f'{{"Ref": "{api}"}}, ".execute-api."' in origin


def test_the_console_of_any_address_of_the_api_may_use_the_bucket(synthesise: Synthesise) -> None:
    certificate = "arn:aws:acm:eu-central-1:111122223333:certificate/0123"
    named = synthesise(domain={"name": "batch.acme.test", "certificate_arn": certificate})
    assert rules(named) == [(["GET", "PUT"], ['"https://batch.acme.test"'])]
    ((_, origins),) = rules(synthesise(vpc_endpoint_ids=["vpce-0123456789abcdef0"]))
    assert ["-vpce-0123456789abcdef0.execute-api." in each for each in origins] == [False, True]


def test_pages_of_the_named_origin_may_use_the_api(synthesise: Synthesise) -> None:
    template = synthesise(cors_origin=ORIGIN)
    (preflight,) = [
        each
        for each in template.of_type("AWS::ApiGateway::Method").values()
        if each["HttpMethod"] == "OPTIONS"
    ]
    # A browser sends no key with it.
    assert preflight["AuthorizationType"] == "NONE"
    assert preflight["Integration"]["Type"] == "MOCK"
    (answer,) = preflight["Integration"]["IntegrationResponses"]
    headers = answer["ResponseParameters"]
    assert headers["method.response.header.Access-Control-Allow-Origin"] == f"'{ORIGIN}'"
    assert headers["method.response.header.Access-Control-Allow-Headers"] == "'Authorization, *'"
    assert headers.keys() == preflight["MethodResponses"][0]["ResponseParameters"].keys()
    for response in template.of_type("AWS::ApiGateway::GatewayResponse").values():
        allowed = response["ResponseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"]
        assert allowed == f"'{ORIGIN}'"
    variables = template.function("api")["Environment"]["Variables"]
    assert variables["NIGHTLANE_CORS_ORIGIN"] == ORIGIN
    # Large content is downloaded from the bucket, and direct uploads go to it.
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    _, download, upload = bucket["CorsConfiguration"]["CorsRules"]
    assert (download["AllowedMethods"], download["AllowedOrigins"]) == (["GET"], ["*"])
    assert (upload["AllowedMethods"], upload["AllowedOrigins"]) == (["PUT"], [ORIGIN])
    assert upload["AllowedHeaders"] == ["*"]


@pytest.mark.parametrize(
    "origin", ["", "ui.acme.test", "https://a.test/ui", "https://a.test, https://b.test"]
)
def test_what_is_not_an_origin_is_rejected(origin: str) -> None:
    with pytest.raises(BadContext, match="cors_origin"):
        Deployment.from_context(UPSTREAM | {"cors_origin": origin})
