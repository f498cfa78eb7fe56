"""Where `nightlane local` reads its settings from, and which source takes precedence."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.cli.configuration import read_settings
from infra.cli.errors import InvalidSettings
from nightlane.settings import Settings
from tests.upstream import only

CDK_JSON = Path(__file__).parents[2] / "cdk.json"
DEFAULTS = {"checkpoint_seconds": 1, "watch_seconds": 1}


def config(folder: Path, context: Any) -> Path:
    path = folder / "config.json"
    path.write_text(context if isinstance(context, str) else json.dumps(context))
    return path


def read(file: Path | None, environment: dict[str, str] | None = None, **chosen: str) -> Settings:
    return read_settings(DEFAULTS, file, environment or {}, chosen)


def test_the_context_in_cdk_json_is_a_valid_config_file(tmp_path: Path) -> None:
    context = json.loads(CDK_JSON.read_text())["context"]["nightlane"]
    settings = read(config(tmp_path, context))
    assert [each.url for each in settings.upstreams] == [context["upstreams"][0]["url"]]
    assert settings.max_concurrent_batches == context["max_concurrent_batches"]
    # A setting that is not in the file has the home's default, not that of AWS.
    assert settings.checkpoint_seconds == 1


def test_later_sources_take_precedence(tmp_path: Path) -> None:
    file = config(tmp_path, {"checkpoint_seconds": 2, "watch_seconds": 2, "stall_seconds": 2})
    environment = {"NIGHTLANE_WATCH_SECONDS": "3", "NIGHTLANE_STALL_SECONDS": "3", "PATH": "/bin"}
    settings = read(file, environment, stall_seconds="4")
    assert (settings.checkpoint_seconds, settings.watch_seconds, settings.stall_seconds) == (2, 3, 4)
    assert settings.upstreams == ()


def test_extra_endpoints_are_a_list_in_a_file_and_json_elsewhere(tmp_path: Path) -> None:
    file = config(tmp_path, {"extra_endpoints": ["/v1/rerank", "/v1/score"]})
    assert read(file).extra_endpoints == ("/v1/rerank", "/v1/score")
    assert read(None, {"NIGHTLANE_EXTRA_ENDPOINTS": '["/v1/messages"]'}).extra_endpoints == ("/v1/messages",)
    assert read(file, extra_endpoints="[]").extra_endpoints == ()
    with pytest.raises(InvalidSettings, match="extra_endpoints: this must be a JSON list of paths"):
        read(None, extra_endpoints="/v1/rerank")


def test_a_config_file_may_omit_the_upstream_and_may_contain_settings_of_a_stack(tmp_path: Path) -> None:
    upstream = {"url": "http://127.0.0.1:8000/v1"}
    file = config(tmp_path, {"upstreams": [upstream], "stack_name": "Mine", "log_retention_days": 90})
    assert read(file).upstreams == only(upstream["url"])
    assert read(file, upstream_url="http://h/v1").upstreams == only("http://h/v1")
    assert read(config(tmp_path, {})).upstreams == ()


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"nonsense": 1}, "nightlane.nonsense: Extra inputs are not permitted"),
        ({"checkpoint_seconds": "soon"}, "nightlane.checkpoint_seconds: Input should be a valid number"),
        ({"upstream_key": "sk-1"}, "nightlane.upstream_key: Extra inputs are not permitted"),
        ({"upstreams": [{"url": "nowhere"}]}, "nightlane.upstreams.0.url: an endpoint is a URL"),
        ({"extra_endpoints": ["rerank"]}, "nightlane.extra_endpoints.0: String should match pattern"),
        ([], "the file must contain a JSON object"),
        ("{", "Expecting property name"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "Expecting value"),
    ],
)
def test_an_invalid_name_or_value_is_named_in_the_error(tmp_path: Path, context: Any, message: str) -> None:
    file = config(tmp_path, context)
    with pytest.raises(InvalidSettings) as refused:
        read(file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)


def test_an_invalid_name_in_the_environment_is_named_in_the_error() -> None:
    with pytest.raises(InvalidSettings, match=r"^nonsense: .*NIGHTLANE_NONSENSE"):
        read(None, {"NIGHTLANE_NONSENSE": "1"})


TWO = [
    {"name": "vllm", "url": "http://127.0.0.1:8000/v1", "models": ["llama-*"], "auth": {"secret": "a/vllm"}},
    {
        "name": "azure-eu",
        "url": "https://r.openai.azure.com/openai/v1",
        "auth": {"secret": "a/azure", "header": "api-key"},
    },
]


def keys_of(settings: Settings) -> list[tuple[str | None, str | None]]:
    return [(each.auth.key, each.auth.header) for each in settings.upstreams if each.auth]


def test_keys_in_aws_secrets_are_given_by_the_names_of_their_upstreams(tmp_path: Path) -> None:
    file = config(tmp_path, {"upstreams": TWO})
    variables = {"NIGHTLANE_UPSTREAM_KEY_VLLM": "sk-1=", "NIGHTLANE_UPSTREAM_KEY_AZURE_EU": "sk-2"}
    assert keys_of(read(file, variables)) == [("sk-1=", None), ("sk-2", "api-key")]
    settings = read_settings(DEFAULTS, file, variables, {}, ["vllm=sk-3"])
    assert keys_of(settings) == [("sk-3", None), ("sk-2", "api-key")]


@pytest.mark.parametrize(
    ("environment", "keys", "message"),
    [
        ({}, [], "upstreams.vllm.auth: the key is in the AWS secret 'a/vllm': pass --upstream-key vllm=KEY"),
        ({}, ["vllm=sk"], "or set NIGHTLANE_UPSTREAM_KEY_AZURE_EU"),
        ({}, ["sk-1"], "--upstream-key: the key is for which of the upstreams (vllm, azure-eu)?"),
        ({"NIGHTLANE_UPSTREAM_KEY": "sk"}, [], "NIGHTLANE_UPSTREAM_KEY: the key is for which"),
        ({"NIGHTLANE_UPSTREAM_KEY_OPENAI": "sk"}, [], "NIGHTLANE_UPSTREAM_KEY_OPENAI is for 0 of the"),
        ({}, ["vllm=sk\n-secret"], "upstreams.vllm.auth.key: a key must be printable ASCII"),
    ],
)
def test_a_key_that_is_missing_or_for_nobody_is_named_in_the_error(
    tmp_path: Path, environment: dict[str, str], keys: list[str], message: str
) -> None:
    file = config(tmp_path, {"upstreams": TWO})
    with pytest.raises(InvalidSettings) as refused:
        read_settings(DEFAULTS, file, environment, {}, keys)
    assert message in str(refused.value)
    assert "-secret" not in str(refused.value)


def test_the_only_upstream_needs_no_name(tmp_path: Path) -> None:
    file = config(tmp_path, {"upstreams": TWO[1:]})
    assert keys_of(read(file, {"NIGHTLANE_UPSTREAM_KEY": "sk-1"})) == [("sk-1", "api-key")]
    environment = {"NIGHTLANE_UPSTREAM_URL": "http://h/v1", "NIGHTLANE_UPSTREAM_KEY": "sk-1\n"}
    assert read(None, environment).upstreams == only("http://h/v1", auth={"key": "sk-1"})


def test_an_invalid_upstream_is_named_whatever_it_comes_from(tmp_path: Path) -> None:
    for name, value in {"upstream_url": "h/v1", "upstreams": '[{"url": "h/v1", "name": "0"}]'}.items():
        with pytest.raises(InvalidSettings, match=r"^upstreams\.0\.url: an endpoint .*--upstream"):
            read(None, {f"NIGHTLANE_{name.upper()}": value})
    named = config(tmp_path, {"upstreams": [TWO[0] | {"timeout_seconds": 900}]})
    with pytest.raises(InvalidSettings, match=r"nightlane\.upstreams\.vllm\.timeout_seconds: Input should"):
        read(named)
    with pytest.raises(InvalidSettings, match="upstreams: Expecting"):
        read(None, {"NIGHTLANE_UPSTREAMS": "["})
    with pytest.raises(InvalidSettings, match="upstreams: the list is empty"):
        read(None, {"NIGHTLANE_UPSTREAMS": "[]"})


def test_a_list_of_upstreams_survives_the_environment_of_the_worker(tmp_path: Path) -> None:
    full = TWO[1] | {
        "rewrite": {"fast": "größer"},
        "max_concurrent_requests": 7,
        "headers": {"X-Team": "batch"},
        "query": {"api-version": "1"},
        "timeout_seconds": 7.5,
        "active": "22:00-06:00 Europe/Berlin",
    }
    settings = read(
        config(tmp_path, {"upstreams": [TWO[0] | {"auth": None}, full]}),
        {"NIGHTLANE_UPSTREAM_KEY_AZURE_EU": "sk"},
    )
    assert Settings.from_environment(settings.to_environment()) == settings
