"""A function has only the settings that it declares; using another one raises an error."""

import pytest
from pydantic import ValidationError

from infra.resources import functions
from nightlane.api_settings import ApiSettings, EndpointSettings
from nightlane.resource_settings import AuthorizeSettings, PlanQueueSettings
from nightlane.settings import InferSettings, Settings, SweepSettings
from nightlane.settings_group import UndeclaredSettings


def test_a_setting_that_a_function_does_not_declare_cannot_be_read() -> None:
    with pytest.raises(AttributeError, match="'AuthorizeSettings' object has no attribute 'bucket_name'"):
        _ = AuthorizeSettings().bucket_name  # type: ignore[attr-defined]


def test_using_an_undeclared_group_raises_an_error_that_names_it() -> None:
    assert SweepSettings(plan_queue_url="a").need(PlanQueueSettings).plan_queue_url == "a"
    with pytest.raises(UndeclaredSettings, match="SweepSettings does not declare upstreams"):
        SweepSettings().need(EndpointSettings)


def test_a_function_gets_its_own_part_of_all_settings() -> None:
    settings = Settings(table_name="table", checkpoint_seconds=7, max_upload_bytes=9)
    assert AuthorizeSettings.of(settings) == AuthorizeSettings(table_name="table")
    assert InferSettings.of(settings) == InferSettings(table_name="table", checkpoint_seconds=7)


def test_settings_can_be_written_to_an_environment_and_read_back() -> None:
    settings = InferSettings(infer_queue_url="https://q", upstream_timeout_seconds=1.5)
    environment = settings.to_environment()
    assert set(environment) == {"NIGHTLANE_INFER_QUEUE_URL", "NIGHTLANE_UPSTREAM_TIMEOUT_SECONDS"}
    assert InferSettings.from_environment(environment | {"PATH": "/bin"}) == settings


def test_an_environment_with_a_setting_of_another_function_is_refused() -> None:
    with pytest.raises(ValidationError, match="bucket_name"):
        AuthorizeSettings.from_environment({"NIGHTLANE_BUCKET_NAME": "bucket"})


def test_every_setting_is_declared_by_a_function() -> None:
    of_functions = {name for spec in functions(Settings()) for name in spec.settings.model_fields}
    assert Settings.model_fields.keys() == of_functions


def test_a_list_is_json_in_an_environment() -> None:
    settings = ApiSettings(extra_endpoints=("/v1/rerank", "/v1/score"))
    environment = settings.to_environment()
    assert environment == {"NIGHTLANE_EXTRA_ENDPOINTS": '["/v1/rerank","/v1/score"]'}
    assert ApiSettings.from_environment(environment) == settings


@pytest.mark.parametrize(
    "path",
    ["", "rerank", "/rerank", "/v1", "/v1/", "/v1/a/", "/v1//a", "/v1/../a", "/v1/a?b", "/v1/a#b", "/v1/a\n"],
)
def test_an_extra_endpoint_must_be_a_path_below_v1(path: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(extra_endpoints=(path,))
