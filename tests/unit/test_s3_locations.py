"""Which S3 locations a batch may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nightlane.domain.errors import BadRequest
from nightlane.domain.s3_locations import S3Location, check_output_prefix, find_input, find_output
from nightlane.s3_settings import S3InputSettings, S3OutputSettings

INPUTS = S3InputSettings.model_validate(
    {"s3_inputs": ["s3://team-data/in/", {"prefix": "s3://secret-data/", "tenants": ["acme"]}]}
)
OUTPUTS = S3OutputSettings.model_validate({"s3_outputs": ["s3://team-data/out/"]})


def test_an_object_below_a_prefix_may_be_read() -> None:
    found = find_input(INPUTS, "other", "s3://team-data/in/ä/2026 11.jsonl")
    assert found == S3Location("team-data", "in/ä/2026 11.jsonl")
    assert find_input(INPUTS, "acme", "s3://secret-data/a") == S3Location("secret-data", "a")


@pytest.mark.parametrize(
    "url",
    [
        "s3://team-data/in",
        "s3://team-data/in/",
        "s3://team-data/in-secret/a",
        "s3://team-data/out/a",
        "s3://team-data/in/../out/a",
        "s3://team-data/in/..",
        "s3://team-data/in/./a",
        "s3://team-data/in//a",
        "s3://team-data/in/a/",
        "s3://team-data/in/a\n",
        "s3://team-data/in/a\0",
        "s3://team-data/in/..\\a",
        f"s3://team-data/in/{'é' * 511}",
        "s3://team-data-2/in/a",
        "s3://team-data@evil/in/a",
        "s3://TEAM-DATA/in/a",
        "S3://team-data/in/a",
        "s3:/team-data/in/a",
        "s3://secret-data/a",
        " s3://team-data/in/a",
        "https://team-data.s3.amazonaws.com/in/a",
        "file-1",
        "",
    ],
)
def test_everything_else_may_not_be_read(url: str) -> None:
    assert find_input(INPUTS, "other", url) is None


@given(rest=st.text())
def test_whatever_is_found_is_below_the_prefix(rest: str) -> None:
    found = find_input(INPUTS, "other", f"s3://team-data/in/{rest}")
    if found is not None:
        assert found == S3Location("team-data", f"in/{rest}")
        assert ".." not in found.key.split("/")


def test_results_are_written_to_a_prefix_that_ends_with_a_slash() -> None:
    found = find_output(OUTPUTS, "acme", "s3://team-data/out/run-1/", "batch_1_output.jsonl")
    assert str(found) == "s3://team-data/out/run-1/batch_1_output.jsonl"
    for prefix in ("s3://team-data/out/run-1", "s3://team-data/out", "s3://team-data/", "out/", ""):
        assert find_output(OUTPUTS, "acme", prefix, "batch_1_output.jsonl") is None


def test_a_refused_prefix_is_explained_with_those_of_the_tenant() -> None:
    settings = S3OutputSettings.model_validate(
        {"s3_outputs": ["s3://team-data/out/", {"prefix": "s3://private/", "tenants": ["acme"]}]}
    )
    check_output_prefix(settings, "acme", "s3://private/")
    with pytest.raises(BadRequest) as caught:
        check_output_prefix(settings, "other", "s3://private/")
    assert caught.value.param == "output_prefix"
    assert "s3://team-data/out/" in caught.value.message
    assert "below one of: s3://private/" not in caught.value.message
    with pytest.raises(BadRequest, match="the operator has set no prefix"):
        check_output_prefix(S3OutputSettings(), "acme", "s3://team-data/out/")


@pytest.mark.parametrize(
    "prefix",
    [
        "s3://team-data/in",
        "s3://team-data",
        "s3://team-*/in/",
        "s3://team-data/*/",
        "s3://team-data/${aws:username}/",
        "s3://team-data/../",
        "s3://team-data//",
        "s3://Team/",
        "team-data/in/",
    ],
)
def test_a_prefix_must_name_a_bucket_and_folders(prefix: str) -> None:
    with pytest.raises(ValidationError):
        S3InputSettings.model_validate({"s3_inputs": [prefix]})


def test_prefixes_are_the_same_in_a_file_and_in_an_environment() -> None:
    environment = INPUTS.to_environment()
    assert set(environment) == {"NIGHTLANE_S3_INPUTS"}
    assert S3InputSettings.from_environment(environment) == INPUTS
    with pytest.raises(ValidationError, match="this must be a JSON list"):
        S3InputSettings.from_environment({"NIGHTLANE_S3_INPUTS": "s3://team-data/in/"})
