"""A function's environment has the settings that it declares, if they differ from the defaults."""

from typing import Any

import pytest

from infra.resources import FunctionSpec, functions
from nightlane.api_settings import EndpointSettings
from nightlane.settings import LeaseSettings, Settings
from nightlane.settings_group import PREFIX
from tests.infra.conftest import Synthesise, Template, as_list

pytestmark = pytest.mark.xdist_group("cdk")
SPECS = {spec.name: spec for spec in functions(Settings())}
SECRET = [{"url": "https://a.test/v1", "auth": {"secret": "acme/models"}}]
TEXTS_AND_LISTS = {
    "extra_endpoints": ["/v1/rerank"],
    "cors_origin": "*",
    "event_bus": "acme-events",
    "s3_inputs": ["s3://team-data/in/"],
    "s3_outputs": [{"prefix": "s3://team-data/out/", "tenants": ["acme"]}],
}
# Every other setting of the operator, with a value that is not the default.
CHANGED: dict[str, Any] = {
    name: not field.default
    if isinstance(field.default, bool)
    else (field.default or 0) + {"shard_max_lines": -1, "max_concurrent_batches": 1}.get(name, 2)
    for name, field in Settings.model_fields.items()
    if name not in TEXTS_AND_LISTS and (field.default is None or type(field.default) in (int, float, bool))
}
SET_IN_EVERY_STACK = {"upstreams"} | {
    name for name, field in Settings.model_fields.items() if isinstance(field.default, str)
}


def settings_of(template: Template, function: str) -> dict[str, Any]:
    """The settings in a function's environment, by name."""
    variables = template.function(function)["Environment"]["Variables"]
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }


def queues_for(template: Template, function: str, *actions: str) -> set[str]:
    """The logical ids of the queues on which a function may do one of these actions."""
    return {
        resource["Fn::GetAtt"][0]
        for statement in template.statements(function)
        if set(actions).intersection(as_list(statement["Action"]))
        for resource in as_list(statement["Resource"])
    }


def test_the_authorizer_gets_only_the_name_of_the_table(template: Template) -> None:
    assert set(settings_of(template, "authorize")) == {"table_name"}


def test_default_settings_are_in_no_environment(template: Template) -> None:
    for name in SPECS:
        assert set(settings_of(template, name)) <= SET_IN_EVERY_STACK


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_environment_has_exactly_the_settings_that_its_function_declares(
    synthesise: Synthesise, spec: FunctionSpec
) -> None:
    settings = settings_of(synthesise(upstreams=SECRET, **CHANGED, **TEXTS_AND_LISTS), spec.name)
    assert set(settings) == spec.settings.model_fields.keys()
    assert settings.get("extra_endpoints", '["/v1/rerank"]') == '["/v1/rerank"]'
    assert (
        settings.get("s3_inputs", '[{"prefix":"s3://team-data/in/"}]') == '[{"prefix":"s3://team-data/in/"}]'
    )
    changed = {name: settings[name] for name in settings.keys() & CHANGED.keys()}
    assert Settings(**changed) == Settings(**{name: CHANGED[name] for name in changed})


def test_a_function_gets_the_urls_of_the_queues_it_sends_to_or_takes_leases_on(
    template: Template,
) -> None:
    for name in SPECS:
        urls = {
            value["Ref"] for key, value in settings_of(template, name).items() if key.endswith("_queue_url")
        }
        assert urls == queues_for(template, name, "sqs:SendMessage", "sqs:ChangeMessageVisibility")


def test_a_functions_settings_determine_whether_it_calls_the_upstream_and_takes_leases() -> None:
    assert {name for name, spec in SPECS.items() if spec.calls_the_upstream} == {"api", "plan", "infer"}
    assert {name for name, spec in SPECS.items() if spec.connects_elsewhere} == {
        "api",
        "plan",
        "infer",
        "notify",
    }
    assert {name for name, spec in SPECS.items() if spec.takes_leases} == {"plan", "infer", "assemble"}
    assert not issubclass(SPECS["sweep"].settings, EndpointSettings | LeaseSettings)
