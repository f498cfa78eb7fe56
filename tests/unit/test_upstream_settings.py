"""What an upstream's settings say together: the region that requests to AWS are signed for."""

import pytest
from pydantic import ValidationError

from nightlane.upstream_settings import UpstreamSettings

AWS = {"aws": {"service": "bedrock"}}


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("BEDROCK-RUNTIME-FIPS.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-0a1b-xyz.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("bedrock-mantle.eu-west-1.api.aws", "eu-west-1"),
    ],
)
def test_the_region_is_the_one_in_the_url_unless_the_operator_names_another(host: str, region: str) -> None:
    url = f"https://{host}/openai/v1"
    assert UpstreamSettings.model_validate({"url": url, "auth": AWS}).aws_region == region
    named = {"aws": {"service": "bedrock", "region": "eu-north-1"}}
    assert UpstreamSettings.model_validate({"url": url, "auth": named}).aws_region == "eu-north-1"


@pytest.mark.parametrize(
    "host", ["bedrock-runtime.corp.example", "models.us-east-1.amazonaws.com", "127.0.0.1"]
)
def test_a_url_without_a_region_needs_one_in_the_settings(host: str) -> None:
    with pytest.raises(ValidationError, match=r"auth\.aws\.region: the URL does not name a region"):
        UpstreamSettings.model_validate({"url": f"https://{host}/v1", "auth": AWS})


def test_a_key_is_not_shown_with_the_settings() -> None:
    upstream = UpstreamSettings.model_validate({"url": "http://h/v1", "auth": {"key": "sk-secret"}})
    assert "sk-secret" not in f"{upstream!r} {upstream}"
